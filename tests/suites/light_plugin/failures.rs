//! Ways to fail that have nothing to do with a Cluster.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use mothership::{Light, LightOptions};
use serde_json::{Value, json};

use crate::person::{Ended, Person};

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_line_its_hint_and_its_exit_code() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let admin = Person::new(light.admin_kubeconfig()?)?;
    for line in [
        "list",
        "status demo",
        "create demo",
        "delete demo",
        "kubeconfig demo",
    ] {
        let ended = admin.runs(line)?;
        if line == "kubeconfig demo" {
            ended.expect(10, &["k0smotron.io/v1beta2", "hint: install k0smotron"]);
        } else {
            ended.expect(
                10,
                &["does not know the resource", "hint: install k0smotron"],
            );
        }
    }
    let version = admin.runs("version")?.expect(0, &[]);
    assert!(
        version.stdout.contains("k0smotron.io is not installed"),
        "{version:#?}"
    );

    let limited = Person::new(light.kubeconfig("limited", &[])?)?;
    for line in [
        "list",
        "list -A",
        "status demo",
        "create demo",
        "join demo",
        "kubeconfig demo",
    ] {
        let ended = limited.runs(line)?;
        ended.expect(
            4,
            &[
                "no permission to ",
                "\"limited\"",
                "hint: ask the mothership's",
            ],
        );
    }
    let as_admin = admin.runs("list --as limited")?;
    as_admin.expect(4, &["User \"limited\" cannot list resource"]);

    let admin_text = std::fs::read_to_string(&admin.kubeconfig)?;
    let elsewhere = |server: &str| admin_text.replace(light.server(), server);
    let nobody = Person::new(admin.file("nobody", &elsewhere("https://127.0.0.1:1"))?)?;
    let refused = nobody.runs("list")?;
    refused.expect(
        5,
        &[
            "https://127.0.0.1:1: Connection refused",
            "hint: is the mothership",
        ],
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let server = format!("https://{}", silent.local_addr()?);
    let silent = Person::new(admin.file("silent", &elsewhere(&server))?)?;
    let started = Instant::now();
    let ended = silent.runs("list --request-timeout 1s")?;
    ended.expect(5, &["no answer within 1s"]);
    assert!(started.elapsed() < Duration::from_secs(5));
    let unknown = Person::new(admin.file("unknown", &elsewhere("https://nowhere.invalid"))?)?;
    unknown
        .runs("list")?
        .expect(5, &["https://nowhere.invalid", "hint: is the host name"]);
    let mut proxied = unknown.command("list")?;
    let proxied = proxied.env("HTTPS_PROXY", "http://127.0.0.1:1").output()?;
    Ended::from(proxied).expect(
        5,
        &["through the proxy http://127.0.0.1:1", "hint: is the proxy"],
    );
    let plain = Person::new(admin.file("plain", &elsewhere(&light.server().replace("s:", ":")))?)?;
    let ended = plain.runs("list")?;
    assert!([1, 5, 9].contains(&ended.code), "{ended:#?}");

    kubeconfigs(&admin, &admin_text)?;
    readers_that_leave(&admin, &light).await?;
    light.down().await
}

fn kubeconfigs(admin: &Person, text: &str) -> Result<()> {
    let missing = Person::new(PathBuf::from("/does/not/exist"))?;
    missing
        .runs("list")?
        .expect(6, &["/does/not/exist does not exist", "hint: "]);
    missing
        .runs("list --kubeconfig /not/this")?
        .expect(6, &["/not/this"]);
    admin
        .runs("list --context mother-ship")?
        .expect(6, &["hint: did you mean mothership?"]);
    for (name, broken, told) in [
        ("broken", "clusters: [".to_owned(), "is not a kubeconfig"),
        ("folder", String::new(), "cannot read the kubeconfig"),
        ("empty", String::new(), "no current context"),
        (
            "gone",
            text.replace(
                "\"current-context\": \"mothership\"",
                "\"current-context\": \"x\"",
            ),
            "current context \"x\" is not in it",
        ),
        (
            "key",
            text.replace("client-key-data\": \"", "client-key-data\": \"@"),
            "users[0].user.client-key-data must be base64",
        ),
    ] {
        let path = admin.home.path().join(name);
        if name == "folder" {
            std::fs::create_dir(&path)?;
        } else {
            std::fs::write(&path, &broken)?;
        }
        let person = Person::new(path)?;
        person.runs("list")?.expect(6, &[told, "hint: "]);
    }
    let failing = with_plugin(
        admin,
        "failing",
        "#!/bin/sh\necho please log in >&2\nexit 3\n",
    )?;
    failing
        .runs("list")?
        .expect(4, &["not logged in", "please log in", "hint: log in again"]);
    let absent = with_plugin(admin, "absent", "")?;
    absent
        .runs("list")?
        .expect(6, &["credential plugin", "cannot be started"]);
    let credential = credential(text)?;
    let script = format!("#!/bin/sh\ncat <<'END'\n{credential}\nEND\n");
    let working = with_plugin(admin, "working", &script)?;
    working.runs("version")?.expect(0, &[]);
    Ok(())
}

/// What a credential plugin prints that brings the certificate of this kubeconfig.
pub fn credential(kubeconfig: &str) -> Result<Value> {
    let certificate: Value = serde_json::from_str(kubeconfig)?;
    let user = |field: &str| -> Result<String> {
        let encoded = certificate
            .pointer(&format!("/users/0/user/{field}"))
            .and_then(Value::as_str)
            .context("no credentials")?;
        Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
    };
    Ok(json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {
            "clientCertificateData": user("client-certificate-data")?,
            "clientKeyData": user("client-key-data")?,
        },
    }))
}

/// The administrator's kubeconfig with a credential plugin in place of the certificate.
pub fn with_plugin(admin: &Person, name: &str, script: &str) -> Result<Person> {
    let program = admin.home.path().join(format!("{name}.sh"));
    if !script.is_empty() {
        std::fs::write(&program, script)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode)?;
    }
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&admin.kubeconfig)?)?;
    let exec = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": program, "interactiveMode": "Never",
    }});
    *config.pointer_mut("/users/0/user").context("no user")? = exec;
    Person::new(admin.file(&format!("with-{name}"), &config.to_string())?)
}

async fn readers_that_leave(admin: &Person, light: &Light) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(light.admin().await?);
    ensure!(
        !namespaces
            .list(&ListParams::default())
            .await?
            .items
            .is_empty()
    );
    for line in ["version", "--help", "create demo --dry-run=client"] {
        admin.runs_unread(line)?.expect(0, &[]);
    }
    // What a command has found out is in its exit code as well.
    let policy = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
        "metadata": {"name": "small"}, "spec": {"replicas": {"max": 1}}});
    let cluster = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "demo"}, "spec": {"replicas": 3}});
    let (policy, cluster) = (
        admin.file("policy", &policy.to_string())?,
        admin.file("cluster", &cluster.to_string())?,
    );
    let line = format!(
        "policy test -f {} --policy {}",
        cluster.display(),
        policy.display()
    );
    admin.runs_unread(&line)?.expect(9, &["would be refused"]);
    let help = admin.runs("--help")?.expect(0, &[]);
    assert!(help.stdout.contains("kubectl k0smotron"), "{help:#?}");
    assert!(Path::new(&admin.kubeconfig).exists());
    Ok(())
}
