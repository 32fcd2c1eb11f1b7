//! What can be done to the events of a watch.

use std::sync::Arc;
use std::time::Instant;

use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};

use super::fault::{FROZEN, Fault};
use super::serve::Body;
use super::{Found, Shared};

/// As the API server says it.
const GONE: &str = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}}"#;

type Chunks = BoxStream<'static, std::io::Result<Bytes>>;

/// What keeps a watch alive, and is no event.
const BOOKMARK: &[u8] = br#"{"type":"BOOKMARK""#;

/// The events as the client gets them.
pub(super) fn body(chunks: Chunks, found: Found, shared: Arc<Shared>) -> Body {
    let noted = Arc::clone(&shared);
    let lines = lines(chunks).inspect(move |line| {
        if is_event(line) {
            noted.shows(found.record);
        }
    });
    let lines = lines.boxed();
    let chunks = match found.fault {
        None => lines,
        Some(fault) if found.later => later(lines, fault, found.record, shared),
        Some(fault) => disturbed(lines, fault, shared),
    };
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

fn is_event(line: &std::io::Result<Bytes>) -> bool {
    line.as_ref().is_ok_and(|line| !line.starts_with(BOOKMARK))
}

/// Nothing is done to it before the first event after all is begun.
fn later(lines: Chunks, fault: Fault, record: usize, shared: Arc<Shared>) -> Chunks {
    let state = (lines, true);
    stream::unfold(state, move |(mut lines, waits)| {
        let shared = Arc::clone(&shared);
        async move {
            let line = lines.next().await?;
            if !(waits && is_event(&line) && shared.shows(record)) {
                return Some((line, (lines, waits)));
            }
            shared.strikes(record);
            let rest = stream::iter([line]).chain(lines).boxed();
            let mut rest = disturbed(rest, fault, shared);
            let first = rest.next().await?;
            Some((first, (rest, false)))
        }
    })
    .boxed()
}

fn one(text: String) -> Chunks {
    stream::iter([Ok(Bytes::from(text))]).boxed()
}

fn cut() -> std::io::Result<Bytes> {
    Err(std::io::Error::other("cut"))
}

/// An event a chunk.
fn lines(chunks: Chunks) -> Chunks {
    let state = (chunks, Vec::new());
    stream::unfold(state, async |(mut chunks, mut buffer)| {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let rest = buffer.split_off(end + 1);
                return Some((Ok(Bytes::from(buffer)), (chunks, rest)));
            }
            match chunks.next().await {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Some((Err(error), (chunks, buffer))),
                None if buffer.is_empty() => return None,
                None => {
                    let last = std::mem::take(&mut buffer);
                    return Some((Ok(Bytes::from(last)), (chunks, buffer)));
                }
            }
        }
    })
    .boxed()
}

fn disturbed(lines: Chunks, fault: Fault, shared: Arc<Shared>) -> Chunks {
    match fault {
        Fault::GoneEvent => one(format!("{GONE}\n")),
        Fault::GarbageEvent => one("{\"type\":\"MODIFIED\",\"object\":[]}\n".to_owned())
            .chain(lines)
            .boxed(),
        Fault::LostReply => stream::iter([cut()]).boxed(),
        Fault::CutWatch => lines.take(1).chain(stream::iter([cut()])).boxed(),
        Fault::DuplicateEvents => lines
            .flat_map(|line| match line {
                Ok(line) => stream::iter(vec![Ok(line.clone()), Ok(line)]),
                Err(error) => stream::iter(vec![Err(error)]),
            })
            .boxed(),
        Fault::ReorderEvents => reordered(lines),
        Fault::FreezeWatch | Fault::Late => frozen(lines),
        Fault::KillAfter => lines
            .take(1)
            .chain(stream::once(async move {
                shared.kill();
                cut()
            }))
            .boxed(),
        _ => lines,
    }
}

/// The second comes before the first, once.
fn reordered(lines: Chunks) -> Chunks {
    stream::once(async move {
        let mut lines = lines.fuse();
        let first = lines.next().await;
        // Without a second one there is nothing to change places with.
        let second = tokio::time::timeout(FROZEN, lines.next())
            .await
            .ok()
            .flatten();
        stream::iter([second, first].into_iter().flatten()).chain(lines)
    })
    .flatten()
    .boxed()
}

/// Everything that happens within the time comes after it.
fn frozen(lines: Chunks) -> Chunks {
    let until = Instant::now() + FROZEN;
    lines
        .then(move |line| async move {
            tokio::time::sleep_until(until.into()).await;
            line
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(chunks: &[&'static str], disturb: impl FnOnce(Chunks) -> Chunks) -> String {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|text| Ok(Bytes::from_static(text.as_bytes())))
            .collect();
        let out: Vec<_> = disturb(lines(stream::iter(chunks).boxed())).collect().await;
        let out = out.into_iter().map(|chunk| match chunk {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
            Err(error) => format!("({error})"),
        });
        out.collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn events_are_whole_whatever_they_come_in() {
        assert_eq!(read(&["a", "b\nc", "\nd\n"], |lines| lines).await, "ab c d");
        assert_eq!(read(&["a\nb"], |lines| lines).await, "a b");
    }

    #[tokio::test]
    async fn two_events_change_places_and_no_more() {
        assert_eq!(read(&["a\nb\nc\nd\n"], reordered).await, "b a c d");
        assert_eq!(read(&["a\n"], reordered).await, "a");
    }
}
