use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt as _;
use tower::{ServiceExt as _, service_fn};

use super::*;

const ANSWER: &str = r#"{"kind":"Secret","data":{"value":"c2VjcmV0"}}"#;

/// What is shown of one request, with the time taken out, and what comes back.
async fn shown(level: u8, path: &str, answer: String) -> (String, Result<String, BoxError>) {
    let inner: Inner = BoxService::new(service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            if request.uri().path() == "/broken" {
                return Err(BoxError::from("connection refused"));
            }
            let body: Box<DynBody> = Box::new(Body::from(answer.into_bytes()).map_err(Into::into));
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::CREATED;
            Ok(response)
        }
    }));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    let trace = Trace {
        level,
        server: "https://m:6443".into(),
        identity: identity(&AuthInfo {
            username: Some("me".into()),
            impersonate: Some("jane".into()),
            ..AuthInfo::default()
        })
        .into(),
        show: Arc::new(move |text| kept.lock().unwrap().push(text.to_owned())),
    };
    let request = Request::post(path)
        .header("accept", "application/json")
        .header("authorization", "Bearer hidden")
        .body(Body::from(ANSWER.as_bytes().to_vec()))
        .unwrap();
    let back = match trace.layer(inner).oneshot(request).await {
        Ok(response) => {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            Ok(String::from_utf8(body.to_vec()).unwrap())
        }
        Err(error) => Err(error),
    };
    let text = lines.lock().unwrap().join("\n");
    let timed = text.split(' ').map(|word| {
        let number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
        if number && word != "201" { "N" } else { word }
    });
    (timed.collect::<Vec<_>>().join(" "), back)
}

const PATH: &str = "/api/v1/namespaces/a/secrets?fieldManager=me";

#[tokio::test]
async fn each_level_adds_to_the_one_before() {
    let at = async |level| {
        let (text, back) = shown(level, PATH, ANSWER.to_owned()).await;
        assert_eq!(back.unwrap(), ANSWER, "what is shown changes nothing");
        text
    };
    let first =
        "POST https://m:6443/api/v1/namespaces/a/secrets?fieldManager=me 201 Created in N ms";
    assert_eq!(at(1).await, first);
    assert_eq!(at(6).await, first);
    let headers = format!(
        "{first}\n  accept: application/json\n  authorization: [redacted]\n  \
         Authorization: [redacted]\n  Impersonate-User: jane"
    );
    assert_eq!(at(7).await, headers);
    assert_eq!(at(9).await, headers, "no body is ever shown");
}

#[tokio::test]
async fn a_request_without_an_answer_says_why() {
    let (text, back) = shown(1, "/broken", String::new()).await;
    assert_eq!(
        text,
        "POST https://m:6443/broken failed after N ms: connection refused"
    );
    assert!(back.is_err());
}

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
    let config = Config::new(format!("http://{address}").parse().unwrap());
    let client = wary(config, level).unwrap();
    let request = Request::get("/api/v1/nodes").body(Vec::new()).unwrap();
    let read = tokio::time::timeout(Duration::from_secs(60), client.request_text(request));
    innermost(&read.await.unwrap().unwrap_err())
}
