//! The token of one call: asked for, and taken back in the end.

use std::cell::RefCell;
use std::time::Duration;

use kube::api::DynamicObject;

use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::resources;
use crate::session::Session;
use crate::tokens::{self, Ending, JoinToken, TokenArgs};

/// How often a request is looked for that the API server has not answered; it may come late.
const LOOKS: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the end of a token is waited for: nobody is to wait long who has joined machines, or who
/// has interrupted that.
const WATCHED: Duration = Duration::from_secs(5);

/// What is known of the request for it.
#[derive(Debug, Clone, PartialEq)]
enum Asked {
    /// What has its name is somebody else's.
    Not,
    /// No answer has come.
    Perhaps,
    Yes(Box<DynamicObject>),
}

/// A token that ends with the call, unless the user keeps it.
pub struct Token<'a> {
    session: &'a Session,
    connection: &'a Connection<'a>,
    wanted: TokenArgs,
    keeps: bool,
    name: String,
    asked: RefCell<Asked>,
}

impl<'a> Token<'a> {
    /// One that nobody has asked for yet.
    pub fn new(
        session: &'a Session,
        connection: &'a Connection<'a>,
        wanted: TokenArgs,
        keeps: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            session,
            connection,
            name: tokens::name_for(&wanted)?,
            wanted,
            keeps,
            asked: RefCell::new(Asked::Not),
        })
    }

    /// Asks for it and waits for it.
    pub async fn obtain(&self, cluster: &DynamicObject) -> Result<JoinToken, Error> {
        let (session, connection, wanted) = (self.session, self.connection, &self.wanted);
        if wanted.name.is_none() {
            self.asked.replace(Asked::Perhaps);
        }
        let asked = match tokens::ask(session, connection, wanted, &self.name).await {
            Ok(asked) => asked,
            Err(error) => {
                if !tokens::is_perhaps_made(&error) {
                    self.asked.replace(Asked::Not);
                } else if self.keeps || wanted.name.is_some() {
                    tokens::tell_perhaps(session, connection, wanted, &self.name);
                }
                return Err(error);
            }
        };
        self.asked.replace(Asked::Yes(Box::new(asked.clone())));
        if !self.keeps {
            session.leaves("no machine was touched", Vec::new());
        }
        let answered = tokens::answer(session, connection, wanted, cluster, &asked).await;
        if let (Err(error), true) = (&answered, self.keeps) {
            tokens::tell_asked(session, connection, &self.name, error);
        }
        answered
    }

    /// Takes it back. That it could not be is no failure of the machines.
    pub async fn end(&self) {
        let asked = self.asked.borrow().clone();
        if asked == Asked::Not || self.keeps {
            return;
        }
        let ended = self
            .session
            .hinting(self.how_to_revoke(), self.revoke(asked));
        if let Err(error) = ended.await {
            let later = self.command();
            self.session.out.note(&format!(
                "The token could not be revoked ({error}); do it later: {later}"
            ));
        }
    }

    /// The same, for somebody who waits for it.
    pub async fn end_aloud(&self) {
        if *self.asked.borrow() != Asked::Not {
            self.session.out.note("revoking the token");
        }
        self.end().await;
    }

    async fn revoke(&self, asked: Asked) -> Result<(), Error> {
        let looks = match asked {
            // What has its name by now may be another.
            Asked::Yes(made) if made.metadata.uid.is_some() => return self.delete(*made).await,
            Asked::Yes(_) => 1,
            Asked::Not | Asked::Perhaps => LOOKS,
        };
        let api = self.connection.api(&resources::join_token_requests());
        let attempt = format!("get join token {}/{}", self.connection.namespace, self.name);
        for _ in 0..looks {
            match self.connection.call(&attempt, || api.get(&self.name)).await {
                Ok(request) => return self.delete(request).await,
                Err(error) if error.is_not_found() && looks > 1 => {
                    tokio::time::sleep(INTERVAL).await;
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        if looks > 1 {
            // It may come later still.
            tokens::tell_perhaps(self.session, self.connection, &self.wanted, &self.name);
        }
        Ok(())
    }

    async fn delete(&self, request: DynamicObject) -> Result<(), Error> {
        tokens::revoke(self.connection, &request, false).await?;
        self.watch(request).await;
        Ok(())
    }

    /// Says so unless it is seen soon that no machine joins with it any more.
    async fn watch(&self, request: DynamicObject) {
        let mut ending = Ending::new(self.session, self.connection, vec![request]);
        let looks = async {
            loop {
                ending.look().await?;
                if ending.state().is_none() {
                    return ending.outcome();
                }
                tokio::time::sleep(tokens::INTERVAL).await;
            }
        };
        let out = &self.session.out;
        let why = match tokio::time::timeout(WATCHED, looks).await {
            Ok(Ok(())) => return,
            Ok(Err(error @ Error::NotRevoked { .. })) => {
                out.note(&format!("warning: {error}"));
                error.hints().iter().for_each(|hint| out.note(hint));
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => ending
                .state()
                .unwrap_or_else(|| "no answer so far".to_owned()),
        };
        out.note(&format!(
            "The token is being revoked; until it is, machines may still join with it ({why}). \
             Follow it: {}",
            self.command()
        ));
    }

    /// What the user may do about it.
    pub fn how_to_revoke(&self) -> String {
        format!("revoke the token: {}", self.command())
    }

    fn command(&self) -> String {
        tokens::how_to_revoke(self.session, &self.name, &self.connection.namespace)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::mothership::client::testing;
    use crate::mothership::view::tests::cluster;

    #[tokio::test]
    async fn a_request_that_is_never_found_is_named() {
        let (session, captured) = testing::session();
        let connection = testing::connection(&session.out, |method, path| match method {
            "POST" => testing::status(500, "InternalError"),
            _ => testing::missing(path),
        });
        let token = Token::new(&session, &connection, testing::wanted(None), false).unwrap();
        token.obtain(&cluster(json!({}))).await.unwrap_err();
        token.end().await;
        let how = format!("kubectl k0smotron token revoke {} -n default", token.name);
        let said = format!("a join token may have been asked for; take it back: {how}\n");
        assert_eq!(captured.stderr(), said);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_not_seen_to_end_is_said_to_let_machines_join() {
        let there = json!({"metadata": {"name": "a", "uid": "u-1"}, "status": {"conditions": [
            {"type": "Deleting", "status": "True", "reason": "HostedUnreachable"}]}});
        let behind = json!({"metadata": {}, "items": [{"metadata": {"name": "e"},
            "involvedObject": {"uid": "u-1"}, "reason": "TokenLeftBehind", "message": "x"}]});
        let none = json!({"metadata": {}, "items": []});
        for (stays, events, said) in [
            (
                true,
                &none,
                "join with it (a: HostedUnreachable). Follow it: kubectl k0smotron",
            ),
            (
                false,
                &behind,
                "warning: 1 of 1 join tokens may still let machines join: a: x\n",
            ),
            (
                false,
                &none,
                "join tokens may still let machines join: a: when it was last seen",
            ),
        ] {
            let (session, captured) = testing::session();
            let (object, events) = (there.clone(), events.clone());
            let deleted = Arc::new(AtomicBool::new(false));
            let connection = testing::connection(&session.out, move |method, path| {
                if method == "DELETE" {
                    deleted.store(true, Ordering::SeqCst);
                }
                match path.rsplit('/').next() {
                    Some("events") => (200, events.clone()),
                    _ if path.contains("/secrets/") => testing::status(403, "Forbidden"),
                    _ if deleted.load(Ordering::SeqCst) && !stays => testing::missing(path),
                    _ => (200, object.clone()),
                }
            });
            let token = Token::new(&session, &connection, testing::wanted(None), false).unwrap();
            let made = serde_json::from_value(there.clone()).unwrap();
            token.asked.replace(Asked::Yes(Box::new(made)));
            token.end().await;
            assert!(captured.stderr().contains(said), "{}", captured.stderr());
        }
    }

    /// Somebody may have deleted it, and asked for one of that name.
    #[tokio::test]
    async fn a_token_of_somebody_else_is_left_alone_though_it_has_the_name() {
        for name in [Some("mine"), None] {
            let (session, _captured) = testing::session();
            let deletions = Arc::new(Mutex::new(Vec::<Value>::new()));
            let seen = deletions.clone();
            let connection = testing::connection_by(&session.out, move |request| {
                let uid = match request.method().as_str() {
                    "POST" => "ours",
                    "DELETE" => {
                        let body = serde_json::from_slice(request.body()).unwrap();
                        seen.lock().unwrap().push(body);
                        return testing::status(409, "Conflict");
                    }
                    _ => "another",
                };
                let status = json!({"tokenID": "abc123"});
                (
                    200,
                    json!({"metadata": {"name": "mine", "uid": uid}, "status": status}),
                )
            });
            let token = Token::new(&session, &connection, testing::wanted(name), false).unwrap();
            let error = token.obtain(&cluster(json!({}))).await.unwrap_err();
            assert!(
                error.to_string().ends_with("another has its name"),
                "{error}"
            );
            token.end().await;
            let deletions = deletions.lock().unwrap();
            assert_eq!(deletions.len(), 1);
            assert_eq!(deletions[0]["preconditions"], json!({"uid": "ours"}));
        }
    }

    #[tokio::test]
    async fn a_token_that_is_kept_is_named_when_it_cannot_be_read() {
        for keeps in [true, false] {
            let (session, captured) = testing::session();
            let connection = testing::connection(&session.out, |method, path| match method {
                "POST" => (201, json!({"metadata": {"name": "a"}})),
                _ => testing::missing(path),
            });
            let token = Token::new(&session, &connection, testing::wanted(None), keeps).unwrap();
            token.obtain(&cluster(json!({}))).await.unwrap_err();
            token.end().await;
            assert_eq!(captured.stderr().contains(&token.command()), keeps);
        }
    }
}
