//! That nobody keeps a kubelet's probe from its answer.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

use super::*;

const KUBELET: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// More than sockets hold.
const LARGE: usize = 32 << 20;

async fn start() -> SocketAddr {
    let listener = TcpListener::bind((KUBELET, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(|| Some("not yet".to_owned()), || "x".repeat(LARGE));
    tokio::spawn(answer(listener, router));
    address
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// All that comes until the other end is closed, whether that was orderly or not.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn an_answer_is_the_last_of_its_connection() {
    let address = start().await;
    for (path, line, end) in [
        ("/healthz", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok"),
        (
            "/readyz",
            "HTTP/1.1 503 Service Unavailable\r\n",
            "\r\n\r\nnot yet",
        ),
        ("/elsewhere", "HTTP/1.1 404 Not Found\r\n", "\r\n\r\n"),
    ] {
        let mut stream = connect(KUBELET, address).await;
        ask(&mut stream, path).await;
        let answer = timeout(HEAD / 2, rest(&mut stream)).await.unwrap();
        assert!(
            answer.starts_with(line) && answer.ends_with(end),
            "{answer}"
        );
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"));
    }
}

#[tokio::test]
async fn who_takes_all_places_and_says_nothing_keeps_nobody_out() {
    let address = start().await;
    let mut probe = connect(KUBELET, address).await;
    probe.write_all(b"GET /healthz ").await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS * 2 {
        silent.push(connect(NEIGHBOUR, address).await);
    }
    // The first half has given way to the second, long before a head is late.
    for stream in silent.iter_mut().take(CONNECTIONS) {
        let closed = timeout(HEAD / 2, rest(stream)).await;
        assert_eq!(closed.as_deref(), Ok(""));
    }
    // Who has one keeps it, and who comes anew gets one.
    probe
        .write_all(b"HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut another = connect(KUBELET, address).await;
    ask(&mut another, "/healthz").await;
    for stream in [&mut probe, &mut another] {
        let answer = timeout(HEAD / 2, rest(stream)).await.unwrap();
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_with_the_head_is_cut_off() {
    let address = start().await;
    let began = Instant::now();
    let mut silent = connect(NEIGHBOUR, address).await;
    assert_eq!(timeout(WHOLE * 3, rest(&mut silent)).await.unwrap(), "");
    assert!(began.elapsed() < WHOLE, "{:?}", began.elapsed());
    let (mut drips, began) = (connect(NEIGHBOUR, address).await, Instant::now());
    while drips.write_all(b"X").await.is_ok() {
        assert!(began.elapsed() < WHOLE);
        sleep(HEAD / 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_take_an_answer_is_cut_off() {
    let address = start().await;
    let mut slow = connect(NEIGHBOUR, address).await;
    ask(&mut slow, "/metrics").await;
    sleep(WHOLE * 2).await;
    let taken = timeout(WHOLE * 3, rest(&mut slow)).await.unwrap().len();
    assert!(taken > 0 && taken < LARGE, "{taken}");
}
