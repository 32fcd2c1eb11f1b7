use std::time::Duration;

use http::Request;

use rstest::rstest;

use super::*;
use crate::error::innermost;
use crate::kubeconfig::read::{Cluster, User};

#[tokio::test]
async fn a_hosted_api_that_answers_without_an_end_is_not_read_to_it() {
    for level in [0, 8] {
        let error = endless(b" ", level).await;
        assert_eq!(error, "length limit exceeded", "{level}");
        let error = endless(b"{},", level).await;
        assert_eq!(error, "more objects than a cluster has", "{level}");
    }
}

/// What is said of an API that repeats this.
async fn endless(part: &'static [u8], level: u8) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 8192]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let many = part.repeat(16384);
                while stream.write_all(&many).await.is_ok() {}
            });
        }
    });
    let cluster = Cluster {
        server: format!("http://{address}"),
        ..Cluster::default()
    };
    let access = Access::new(&cluster, &User::default()).await.unwrap();
    let client = wary(access, level).unwrap();
    let request = Request::get("/api/v1/nodes").body(Vec::new()).unwrap();
    let read = tokio::time::timeout(Duration::from_secs(60), client.request_text(request));
    innermost(&read.await.unwrap().unwrap_err())
}

/// A proxy that answers each connection with this; `None` when nobody is there.
async fn proxy(answer: Option<&'static str>) -> Proxy {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    if let Some(answer) = answer {
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 8192]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
    }
    Proxy::new(&format!("http://{address}")).unwrap()
}

#[rstest]
#[case::let_through(Some("HTTP/1.1 200 OK\r\n\r\n"), true)]
#[case::kept_out(Some("HTTP/1.1 403 Forbidden\r\n\r\n"), false)]
#[case::alone(None, false)]
#[tokio::test]
async fn what_listens_is_found_by_the_proxy_that_requests_go_through(
    #[case] answer: Option<&'static str>,
    #[case] found: bool,
) {
    let here = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cluster = Cluster {
        server: format!("https://{}", here.local_addr().unwrap()),
        insecure_skip_tls_verify: true,
        ..Cluster::default()
    };
    let mut access = Access::new(&cluster, &User::default()).await.unwrap();
    access.proxy = None;
    assert!(is_listening(&access).await);
    // Nobody looks up this name but the proxy.
    access.config.cluster_url = "https://api.example.invalid:6443".parse().unwrap();
    assert!(!is_listening(&access).await);
    access.proxy = Some(proxy(answer).await);
    assert_eq!(is_listening(&access).await, found);
}
