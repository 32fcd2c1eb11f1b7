//! Interrupts while a mothership is slow: what was begun is taken back, or is named.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::v1beta2::JoinTokenRequest;
use kube::api::{Api, DeleteParams, ListParams};
use mothership::Light;
use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::person::{Ended, Person, Running};
use crate::scene::{installed, until};
use crate::ssh::{Machines, ends, make_token};

/// A way to the API server on which each request takes its time.
struct SlowWay {
    /// In milliseconds.
    delay: Arc<AtomicU64>,
    /// The same, of each answer.
    answers: Arc<AtomicU64>,
    person: Person,
}

impl SlowWay {
    async fn open(light: &Light, admin: &Person) -> Result<Self> {
        let (delay, answers) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let text = std::fs::read_to_string(&admin.kubeconfig)?;
        let here = format!("https://{}", listener.local_addr()?);
        let person = Person::new(admin.file("slow", &text.replace(light.server(), &here))?)?;
        let there = light.server().trim_start_matches("https://");
        let there: SocketAddr = there
            .trim_end_matches('/')
            .parse()
            .context(there.to_owned())?;
        tokio::spawn(accept(listener, there, [delay.clone(), answers.clone()]));
        Ok(Self {
            delay,
            answers,
            person,
        })
    }

    fn takes(&self, delay: Duration) -> Result<()> {
        let delay = delay.as_millis().try_into()?;
        self.delay.store(delay, Ordering::SeqCst);
        Ok(())
    }
}

async fn accept(listener: TcpListener, there: SocketAddr, delays: [Arc<AtomicU64>; 2]) {
    while let Ok((here, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(there).await else {
            continue;
        };
        let ((from_client, to_client), (from_server, to_server)) =
            (here.into_split(), server.into_split());
        let [delay, answers] = delays.clone();
        tokio::spawn(pass(from_client, to_server, delay));
        tokio::spawn(pass(from_server, to_client, answers));
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Arc<AtomicU64>,
) {
    let mut bytes = vec![0; 16384];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        tokio::time::sleep(Duration::from_millis(delay.load(Ordering::SeqCst))).await;
        if to
            .write_all(bytes.get(..read).unwrap_or_default())
            .await
            .is_err()
        {
            return;
        }
    }
}

/// The name of the one request, once it is there.
async fn asked(requests: &Api<JoinTokenRequest>) -> Result<String> {
    until(async || {
        let found = requests.list(&ListParams::default()).await?.items;
        Ok(found.into_iter().next().and_then(|one| one.metadata.name))
    })
    .await
}

/// It ends by an interrupt, and says how to take this request back, which it has not done itself.
async fn names(running: Running, requests: &Api<JoinTokenRequest>, name: &str) -> Result<Ended> {
    let hint = format!("hint: revoke the token: kubectl k0smotron token revoke {name} -n default");
    let ended = ends(running).await?.expect(130, &["interrupted: ", &hint]);
    requests.delete(name, &DeleteParams::default()).await?;
    Ok(ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_back_although_a_closed_shell_sends_its_signal_twice() -> Result<()> {
    let (light, admin) = installed().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(light.admin().await?, "default");
    let way = SlowWay::open(&light, &admin).await?;
    let line = "join demo --ssh node-1 --no-wait";
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);

    for signals in [
        [Signal::SIGHUP, Signal::SIGHUP],
        [Signal::SIGINT, Signal::SIGHUP],
        [Signal::SIGTERM, Signal::SIGTERM],
    ] {
        way.takes(Duration::ZERO)?;
        let join = way.person.starts(line)?;
        asked(&requests).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        way.takes(Duration::from_millis(500))?;
        join.signal(signals[0])?;
        // At once, when it may be taken for the same, and while the token is taken back.
        for pause in [1, 200] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            join.signal(signals[1])?;
        }
        let said = ["revoking the token", "interrupted: no machine was touched"];
        ends(join).await?.expect(130, &said);
        let left = requests.list(&ListParams::default()).await?.items;
        ensure!(left.is_empty(), "{signals:?}: left is {left:?}");
    }

    // Nobody has the patience that such a mothership asks for.
    let line = &format!("{line} --request-timeout 100s");
    for signals in [vec![Signal::SIGINT, Signal::SIGINT], vec![Signal::SIGHUP]] {
        way.takes(Duration::ZERO)?;
        let join = way.person.starts(line)?;
        let name = asked(&requests).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        way.takes(Duration::from_secs(100))?;
        let begun = Instant::now();
        for signal in signals {
            join.signal(signal)?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let ended = names(join, &requests, &name).await?;
        ensure!(begun.elapsed() < Duration::from_secs(25), "{ended:#?}");
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_names_the_token_that_is_not_taken_back() -> Result<()> {
    let (light, admin) = installed().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(light.admin().await?, "default");
    let way = SlowWay::open(&light, &admin).await?;
    let machines = Machines::new()?;
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);

    // The last thing that is done.
    let (begun, go) = (machines.file("begun"), machines.file("go"));
    let wait = format!(
        "touch {}; until [ -e {} ]; do sleep 0.1; done; exit 1",
        begun.display(),
        go.display()
    );
    let mut command = machines.command(&way.person, "join demo --ssh node-1 --start-command")?;
    let join = Running::start(command.arg(wait))?;
    let name = make_token(&light).await?;
    until(async || Ok(begun.exists().then_some(()))).await?;
    way.takes(Duration::from_secs(100))?;
    std::fs::write(go, "")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    join.signal(Signal::SIGINT)?;
    let ended = names(join, &requests, &name).await?;
    ensure!(ended.stderr.contains("node-1: failed"), "{ended:#?}");

    // Some machines go on by themselves, and need it.
    for line in [
        "join demo --ssh node-2,slow --no-wait",
        "join demo --ssh node-3,slow --role controller",
    ] {
        let join = Running::start(&mut machines.command(&admin, line)?)?;
        let name = make_token(&light).await?;
        let node = line.split([' ', ',']).nth(3).context("no machine")?;
        let service = format!("{node}/etc/systemd/system/k0sworker.service");
        until(async || Ok(machines.file(&service).exists().then_some(()))).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        join.signal(Signal::SIGINT)?;
        let ended = names(join, &requests, &name).await?;
        let said = "Machines may still be joining with the token: it stays until its end.";
        ensure!(ended.stderr.contains(said), "{ended:#?}");
        ensure!(ended.stderr.contains("slow: connecting"), "{ended:#?}");
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_request_was_not_answered_is_taken_back_or_named() -> Result<()> {
    let (light, admin) = installed().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(light.admin().await?, "default");
    let way = SlowWay::open(&light, &admin).await?;
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);
    way.answers.store(700, Ordering::SeqCst);

    let join = way.person.starts("join demo --ssh node-1 --no-wait")?;
    asked(&requests).await?;
    join.signal(Signal::SIGINT)?;
    let said = ["revoking the token", "a join token may have been asked for"];
    ends(join).await?.expect(130, &said);
    let left = requests.list(&ListParams::default()).await?.items;
    ensure!(left.is_empty(), "left is {left:?}");

    for line in ["join demo", "token create demo"] {
        let join = way.person.starts(line)?;
        let name = asked(&requests).await?;
        join.signal(Signal::SIGINT)?;
        let hint = format!("hint: take it back: kubectl k0smotron token revoke {name} -n default");
        let said = ["interrupted: a join token may have been asked for", &hint];
        ends(join).await?.expect(130, &said);
        requests.delete(&name, &DeleteParams::default()).await?;
    }

    // What has a name that was chosen may be somebody else's.
    admin
        .runs("join demo --name mine --timeout 1s")?
        .expect(7, &[]);
    let line = "join demo --ssh node-1 --no-wait --name mine";
    admin.runs(line)?.expect(8, &["already exists"]);
    ensure!(requests.get_opt("mine").await?.is_some(), "it was revoked");
    let join = way.person.starts(line)?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    join.signal(Signal::SIGINT)?;
    ends(join).await?;
    ensure!(requests.get_opt("mine").await?.is_some(), "it was revoked");
    light.down().await
}
