//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::error::Error;
use crate::session::Session;

/// Asks, and takes anything but yes for no. Nobody is asked when `unasked` says so (`--yes`, a dry
/// run), nor where standard input is no terminal.
///
/// # Errors
/// [`Error::Declined`] with `otherwise` when the answer is no.
pub async fn confirm(
    session: &Session,
    unasked: bool,
    question: &str,
    otherwise: &str,
) -> Result<(), Error> {
    if unasked || !io::stdin().is_terminal() {
        return Ok(());
    }
    let answer = line(session, &format!("{question} [y/N]")).await?;
    match answer.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Declined(otherwise.to_owned())),
    }
}

/// Refuses what cannot be undone and names nothing that goes, where nobody can be asked.
///
/// # Errors
/// [`Error::Usage`] then.
pub fn insist(unasked: bool, attempt: &str) -> Result<(), Error> {
    if unasked || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Error::Usage {
        message: format!("--yes is required to {attempt} where standard input is no terminal"),
        hint: "add --yes, or see with --dry-run what would go".to_owned(),
    })
}

/// Asks, and returns the answer without the blanks around it.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Declined`] when there is no more input.
pub async fn line(session: &Session, question: &str) -> Result<String, Error> {
    session.out.note(question);
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        read.map(|bytes| (bytes > 0).then_some(line))
    });
    let answer = answer
        .await
        .map_err(|source| Error::io("ask", io::Error::other(source)))?
        .map_err(|source| Error::io("read the answer", source))?;
    answer
        .map(|line| line.trim().to_owned())
        .ok_or_else(|| Error::Declined("the input ended, nothing was done".to_owned()))
}
