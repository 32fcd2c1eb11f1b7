//! The status socket: a little HTTP on a unix socket, as `k0s status` asks it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::paths::{Paths, text};
use crate::version;

/// Answers on the status socket until the task is dropped.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(paths: &Paths, role: &str, config: &Value) -> Result<tokio::task::JoinHandle<()>> {
    let body = describe(paths, role, config).to_string();
    // A socket of an instance that was killed would keep the new one from listening.
    std::fs::remove_file(&paths.status_socket).ok();
    let listener = UnixListener::bind(&paths.status_socket)
        .with_context(|| format!("failed to listen on {}", paths.status_socket.display()))?;
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let request =
                    String::from_utf8_lossy(request.get(..length).unwrap_or_default()).into_owned();
                let path = request.split_whitespace().nth(1).unwrap_or_default();
                let (code, body) = match path.split('?').next() {
                    Some("/status") => ("200 OK", body),
                    Some("/components") => ("200 OK", "{}".to_owned()),
                    _ => ("404 Not Found", "{}".to_owned()),
                };
                let answer = format!(
                    "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.ok();
            });
        }
    }))
}

fn describe(paths: &Paths, role: &str, config: &Value) -> Value {
    let (system, file) = crate::commands::installed().unwrap_or_default();
    json!({
        "Version": version::k0s(),
        "Pid": std::process::id(),
        "PPid": std::os::unix::process::parent_id(),
        "Role": role,
        "SysInit": system,
        "StubFile": file,
        "Output": "",
        "Workloads": role == "worker",
        "SingleNode": false,
        "Args": std::env::args().collect::<Vec<_>>(),
        "WorkerToAPIConnectionStatus": {"Message": "", "Success": role == "worker"},
        "ClusterConfig": config,
        "K0sVars": {
            "DataDir": text(&paths.data),
            "RunDir": text(&paths.run),
            "StatusSocketPath": text(&paths.status_socket),
        },
        "StandIn": crate::STAND_IN,
    })
}

/// Asks the running instance.
///
/// # Errors
/// When nobody listens or the answer is not understood.
pub fn ask(socket: &Path, path: &str) -> Result<Value> {
    let failed = || format!("status: can't get {path:?} via {:?}", text(socket));
    let mut stream = UnixStream::connect(socket).with_context(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).with_context(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(failed)?;
    let (_, body) = answer.split_once("\r\n\r\n").with_context(failed)?;
    serde_json::from_str(body).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_served_can_be_asked() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(dir.path().into()), Some(dir.path().into()), None);
        let task = serve(&paths, "controller", &json!({"spec": {}})).unwrap();
        let socket = paths.status_socket.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&socket, "status"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer["Role"], "controller");
        assert_eq!(answer["Pid"], std::process::id());
        assert_eq!(answer["Version"], version::k0s());
        task.abort();
    }

    #[test]
    fn nobody_there() {
        let error = ask(Path::new("/nonexistent/status.sock"), "status").unwrap_err();
        assert!(format!("{error:#}").contains("can't get \"status\""));
    }
}
