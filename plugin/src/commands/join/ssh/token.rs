//! The token of one call: asked for, and taken back in the end.

use std::cell::Cell;
use std::time::Duration;

use kube::api::DynamicObject;

use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::resources;
use crate::session::Session;
use crate::tokens::{self, JoinToken, TokenArgs};

/// How often a request is looked for that the API server has not answered; it may come late.
const LOOKS: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known of the request for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// What has its name is somebody else's.
    Not,
    /// No answer has come.
    Perhaps,
    Yes,
}

/// A token that ends with the call, unless the user keeps it.
pub struct Token<'a> {
    session: &'a Session,
    connection: &'a Connection<'a>,
    wanted: TokenArgs,
    keeps: bool,
    name: String,
    asked: Cell<Asked>,
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
            asked: Cell::new(Asked::Not),
        })
    }

    /// Asks for it and waits for it.
    pub async fn obtain(&self, cluster: &DynamicObject) -> Result<JoinToken, Error> {
        let (session, connection, wanted) = (self.session, self.connection, &self.wanted);
        if wanted.name.is_none() {
            self.asked.set(Asked::Perhaps);
        }
        if let Err(error) = tokens::ask(session, connection, wanted, &self.name).await {
            if !tokens::is_perhaps_made(&error) {
                self.asked.set(Asked::Not);
            } else if self.keeps || wanted.name.is_some() {
                tokens::tell_perhaps(session, connection, wanted, &self.name);
            }
            return Err(error);
        }
        self.asked.set(Asked::Yes);
        if !self.keeps {
            session.leaves("no machine was touched", Vec::new());
        }
        let answered = tokens::answer(session, connection, wanted, cluster, &self.name).await;
        if let (Err(error), true) = (&answered, self.keeps) {
            tokens::tell_asked(session, connection, &self.name, error);
        }
        answered
    }

    /// Takes it back. That it could not be is no failure of the machines.
    pub async fn end(&self) {
        let looks = match self.asked.get() {
            Asked::Not => return,
            _ if self.keeps => return,
            Asked::Perhaps => LOOKS,
            Asked::Yes => 1,
        };
        let ended = self
            .session
            .hinting(self.how_to_revoke(), self.revoke(looks));
        if let Err(error) = ended.await {
            let later = self.command();
            self.session.out.note(&format!(
                "The token could not be revoked ({error}); do it later: {later}"
            ));
        }
    }

    /// The same, for somebody who waits for it.
    pub async fn end_aloud(&self) {
        if self.asked.get() != Asked::Not {
            self.session.out.note("revoking the token");
        }
        self.end().await;
    }

    async fn revoke(&self, looks: u32) -> Result<(), Error> {
        let api = self.connection.api(&resources::join_token_requests());
        let attempt = format!("get join token {}/{}", self.connection.namespace, self.name);
        for _ in 0..looks {
            match self.connection.call(&attempt, || api.get(&self.name)).await {
                Ok(request) => return tokens::revoke(self.connection, &request, false).await,
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
    use serde_json::json;

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
