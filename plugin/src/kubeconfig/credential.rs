//! What a request says about who makes it, and the program that may have to be asked for that.

use std::io::{self, IsTerminal as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::BoxError;
use tower::filter::AsyncPredicate;

use crate::error::{Error, innermost};
use crate::escape;
use crate::kubeconfig::kuberc;
use crate::kubeconfig::read::{Cluster, Exec, User};

const GROUP: &str = "client.authentication.k8s.io/";
/// A token is renewed while its last seconds may still be needed on the way.
const SPARE: SignedDuration = SignedDuration::from_secs(10);

/// The `Authorization` of requests.
#[derive(Clone, Default)]
pub enum Credential {
    #[default]
    None,
    Fixed(HeaderValue),
    /// A file whose token somebody renews, and the last one that was in it.
    File(String, Arc<Mutex<HeaderValue>>),
    Program(Arc<Program>),
}

/// A program that brings tokens which end.
pub struct Program {
    exec: Exec,
    cluster: Option<Value>,
    token: tokio::sync::Mutex<(HeaderValue, Timestamp)>,
}

/// A client certificate and its key in PEM.
pub type Identity = (String, String);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    api_version: String,
    status: Option<Brought>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Brought {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

impl Credential {
    /// What this user has. A program is asked once, and only where there is nothing else.
    pub async fn new(user: &User, cluster: &Cluster) -> Result<(Self, Option<Identity>), Error> {
        if !user.username.is_empty() {
            let pair = STANDARD.encode(format!("{}:{}", user.username, user.password));
            return Ok((Self::Fixed(header(&format!("Basic {pair}"))?), None));
        }
        let token = Some(user.token.as_str()).filter(|token| !token.is_empty());
        if !user.token_file.is_empty() {
            let path = &user.token_file;
            // What is in the file counts, as it is newer.
            let bearer = match (read(path), token) {
                (Ok(token), _) => bearer(&token)?,
                (Err(_), Some(token)) => bearer(token)?,
                (Err(source), None) => {
                    let why = innermost(&source);
                    return Err(unusable(&format!(
                        "cannot read the tokenFile {path}: {why}"
                    )));
                }
            };
            return Ok((Self::File(path.clone(), Arc::new(Mutex::new(bearer))), None));
        }
        if let Some(token) = token {
            return Ok((Self::Fixed(bearer(token)?), None));
        }
        if let Some(provider) = &user.auth_provider {
            let token = provider.config.get("id-token");
            return match (provider.name.as_str(), token) {
                ("oidc", Some(token)) if has_ended(token, Timestamp::now()) => {
                    Err(Error::Kubeconfig {
                        message: "the id-token of the kubeconfig's oidc provider has ended"
                            .to_owned(),
                        hint: "kubectl fetches another one and puts it there: run kubectl version \
                               once with this context, then try again"
                            .to_owned(),
                    })
                }
                ("oidc", Some(token)) => Ok((Self::Fixed(bearer(token)?), None)),
                ("oidc", None) => Err(unusable("its oidc provider has no id-token")),
                (name, _) => Err(unusable(&format!(
                    "its auth-provider \"{}\" is one that kubectl no longer has",
                    escape::line(name)
                ))),
            };
        }
        let has_certificate =
            !user.client_certificate.is_empty() || !user.client_certificate_data.is_empty();
        match &user.exec {
            Some(exec) if !has_certificate => Self::brought(exec.clone(), cluster).await,
            _ => Ok((Self::None, None)),
        }
    }

    async fn brought(exec: Exec, cluster: &Cluster) -> Result<(Self, Option<Identity>), Error> {
        let cluster = exec.provide_cluster_info.then(|| told(cluster));
        let brought = ask(&exec, cluster.as_ref()).await?;
        let identity = match (brought.client_certificate_data, brought.client_key_data) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => None,
        };
        let Some(token) = brought.token.as_deref().map(bearer).transpose()? else {
            return Ok((Self::None, identity));
        };
        let credential = match brought.expiration_timestamp {
            None => Self::Fixed(token),
            Some(end) => Self::Program(Arc::new(Program {
                exec,
                cluster,
                token: tokio::sync::Mutex::new((token, end)),
            })),
        };
        Ok((credential, identity))
    }

    pub async fn header(&self) -> Result<Option<HeaderValue>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(value) => Ok(Some(value.clone())),
            Self::File(path, last) => {
                let fresh = read(path).ok().and_then(|token| bearer(&token).ok());
                let mut last = last
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(fresh) = fresh {
                    *last = fresh;
                }
                Ok(Some(last.clone()))
            }
            Self::Program(program) => {
                let mut token = program.token.lock().await;
                if Timestamp::now() + SPARE >= token.1 {
                    let brought = ask(&program.exec, program.cluster.as_ref()).await?;
                    let anew = brought.token.as_deref().map(bearer).transpose()?;
                    let end = brought.expiration_timestamp.unwrap_or(Timestamp::MAX);
                    *token = (anew.unwrap_or_else(|| token.0.clone()), end);
                }
                Ok(Some(token.0.clone()))
            }
        }
    }
}

impl<B: Send + 'static> AsyncPredicate<Request<B>> for Credential {
    type Future = BoxFuture<'static, Result<Request<B>, BoxError>>;
    type Request = Request<B>;

    fn check(&mut self, mut request: Request<B>) -> Self::Future {
        let credential = self.clone();
        Box::pin(async move {
            if let Some(value) = credential.header().await? {
                request.headers_mut().insert(header::AUTHORIZATION, value);
            }
            Ok(request)
        })
    }
}

fn read(path: &str) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    match text.trim() {
        "" => Err(io::Error::other("it is empty")),
        token => Ok(token.to_owned()),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    header(&format!("Bearer {token}"))
}

fn header(value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| unusable("its token must be one line of printed characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether an id-token says that it is of no use any more. One that cannot be read is the API
/// server's to judge.
fn has_ended(token: &str, now: Timestamp) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = token.split('.').nth(1);
    let claims = claims.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
    claims.is_some_and(|claims| claims.exp <= now.as_second())
}

fn unusable(why: &str) -> Error {
    Error::Kubeconfig {
        message: format!("the kubeconfig's user cannot be used: {why}"),
        hint: "log in again, or use another --context".to_owned(),
    }
}

/// What the program is told about the cluster.
fn told(cluster: &Cluster) -> Value {
    let mut extensions = cluster.extensions.iter();
    let extension = extensions.find(|extension| extension.name == format!("{GROUP}exec"));
    json!({
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": STANDARD.encode(&cluster.certificate_authority_data),
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
        "config": extension.map(|extension| &extension.extension),
    })
}

async fn ask(exec: &Exec, cluster: Option<&Value>) -> Result<Brought, Error> {
    let terminal = io::stdin().is_terminal();
    let interactive = terminal && exec.interactive_mode != "Never";
    let program = escape::line(&exec.command).into_owned();
    let failed = |why: String| Error::Unauthorized {
        attempt: "ask who you are".to_owned(),
        answer: format!("the credential plugin {program} {why}"),
    };
    if exec.interactive_mode == "Always" && !terminal {
        return Err(failed("needs a terminal to ask at".to_owned()));
    }
    let start = |source: io::Error| {
        let hint = match exec.install_hint.trim() {
            "" => format!("install {program}, or use another --context"),
            hint => escape::text(hint).into_owned(),
        };
        let why = innermost(&source);
        Error::Kubeconfig {
            message: format!("the credential plugin {program} cannot be started: {why}"),
            hint,
        }
    };
    let found = kuberc::located(&exec.command);
    kuberc::check(&exec.command, found.as_deref().ok())?;
    let told = json!({
        "kind": "ExecCredential",
        "apiVersion": exec.api_version,
        "spec": {"interactive": interactive, "cluster": cluster},
    });
    let variables = exec.env.iter().map(|env| (&env.name, &env.value));
    let mut command = tokio::process::Command::new(found.map_err(start)?);
    command
        .arg0(&exec.command)
        .args(&exec.args)
        .envs(variables)
        .env("KUBERNETES_EXEC_INFO", told.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    // A pipe is the command's own, such as a file for --from.
    if !interactive {
        command.stdin(Stdio::null());
    }
    // What it asks of a person is on standard error, which output() would take.
    let child = command.spawn().map_err(start)?;
    let output = child.wait_with_output().await.map_err(start)?;
    if !output.status.success() {
        return Err(failed(format!("failed ({})", output.status)));
    }
    let answer: Answer = serde_saphyr::from_slice(&output.stdout)
        .map_err(|_| failed("printed no ExecCredential".to_owned()))?;
    if answer.api_version != exec.api_version {
        let (has, wants) = (escape::line(&answer.api_version), &exec.api_version);
        return Err(failed(format!("speaks \"{has}\", and is to speak {wants}")));
    }
    let mut brought = answer.status.unwrap_or_default();
    for text in [
        &mut brought.token,
        &mut brought.client_certificate_data,
        &mut brought.client_key_data,
    ] {
        text.take_if(|text| text.is_empty());
    }
    let halves = (&brought.client_certificate_data, &brought.client_key_data);
    match (&brought.token, halves) {
        (_, (Some(_), None) | (None, Some(_))) => Err(failed(
            "brought a certificate or a key, not both".to_owned(),
        )),
        (None, (None, None)) => Err(failed("brought neither token nor certificate".to_owned())),
        _ => Ok(brought),
    }
}

/// What is wrong with how a program is named, if anything.
pub fn objection(exec: &Exec) -> Option<String> {
    let version = exec.api_version.strip_prefix(GROUP).unwrap_or_default();
    let mode = exec.interactive_mode.as_str();
    let modes = "Never, IfAvailable or Always";
    if exec.command.is_empty() {
        Some("exec.command: Required value".to_owned())
    } else if !matches!(version, "v1" | "v1beta1") {
        Some(format!(
            "exec.apiVersion must be {GROUP}v1 or {GROUP}v1beta1"
        ))
    } else if exec.env.iter().any(|env| env.name.is_empty()) {
        Some("exec.env[].name: Required value".to_owned())
    } else if mode.is_empty() && version == "v1" {
        Some(format!("exec.interactiveMode: Required value: {modes}"))
    } else if !matches!(mode, "" | "Never" | "IfAvailable" | "Always") {
        Some(format!("exec.interactiveMode must be {modes}"))
    } else {
        None
    }
}
