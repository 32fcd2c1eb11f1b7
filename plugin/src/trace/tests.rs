use std::sync::Mutex;

use http::StatusCode;
use http_body_util::BodyExt as _;
use tower::{ServiceExt as _, service_fn};

use super::*;

const ANSWER: &str = r#"{"kind":"Secret","data":{"value":"c2VjcmV0"}}"#;

/// What is shown of one request, with the time taken out, and what comes back.
async fn shown(level: u8, path: &str, answer: String) -> (String, Result<String, BoxError>) {
    let inner = service_fn(move |request: Request<Body>| {
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
    });
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    let trace = Trace {
        level,
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

const PATH: &str = "https://m:6443/api/v1/namespaces/a/secrets?fieldManager=me";

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
    let headers = format!("{first}\n  accept: application/json\n  authorization: [redacted]");
    assert_eq!(at(7).await, headers);
    assert_eq!(at(9).await, headers, "no body is ever shown");
}

#[tokio::test]
async fn a_request_without_an_answer_says_why() {
    let (text, back) = shown(1, "https://m:6443/broken", String::new()).await;
    assert_eq!(
        text,
        "POST https://m:6443/broken failed after N ms: connection refused"
    );
    assert!(back.is_err());
}
