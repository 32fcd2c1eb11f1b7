//! Where everything that is printed goes: data to standard output, the rest to standard error.

pub mod progress;
pub mod table;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Read, Write};
use std::rc::Rc;

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::error::Error;
use crate::escape;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a piece of text tells by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Good,
    Waiting,
    Bad,
    Dim,
}

/// Whether text gets its colour when it is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Always,
    Never,
}

impl Paint {
    /// The text in its style.
    pub fn apply(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            Style::Bold => "1",
            Style::Good => "32",
            Style::Waiting => "33",
            Style::Bad => "31",
            Style::Dim => "2",
        };
        match self {
            Self::Always if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Always | Self::Never => text.to_owned(),
        }
    }
}

/// The two streams of a command, and what is known of them.
pub struct Output {
    stdout: RefCell<Box<dyn Write>>,
    stdout_is_unread: Cell<bool>,
    stderr: RefCell<Box<dyn Write>>,
    stdout_paint: Paint,
    stderr_paint: Paint,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    columns: Option<usize>,
    verbosity: u8,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("verbosity", &self.verbosity)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// The streams of this process. A `verbosity` of 1 or more also shows each request.
    pub fn of_process(when: ColorWhen, verbosity: u8) -> Self {
        let choice = match when {
            ColorWhen::Auto => None,
            ColorWhen::Always => Some(ColorChoice::Always),
            ColorWhen::Never => Some(ColorChoice::Never),
        };
        let stdout_choice = choice.unwrap_or_else(|| AutoStream::choice(&io::stdout()));
        let stderr_choice = choice.unwrap_or_else(|| AutoStream::choice(&io::stderr()));
        Self {
            // Nothing is taken out on the way: only what is painted has escape sequences of ours, and
            // whoever takes out those of others loses what follows one that has no end.
            stdout: RefCell::new(Box::new(io::stdout())),
            stdout_is_unread: Cell::new(false),
            stderr: RefCell::new(Box::new(io::stderr())),
            stdout_paint: paint(stdout_choice),
            stderr_paint: paint(stderr_choice),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            columns: terminal_size::terminal_size_of(io::stdout())
                .map(|(terminal_size::Width(columns), _)| usize::from(columns)),
            verbosity,
        }
    }

    /// Streams that are kept in memory, and the handle to read them.
    pub fn captured() -> (Self, Captured) {
        let captured = Captured::default();
        let output = Self {
            stdout: RefCell::new(Box::new(captured.stdout.clone())),
            stdout_is_unread: Cell::new(false),
            stderr: RefCell::new(Box::new(captured.stderr.clone())),
            stdout_paint: Paint::Never,
            stderr_paint: Paint::Never,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            columns: None,
            verbosity: 0,
        };
        (output, captured)
    }

    /// Writes what others may have written to standard output: as it is for programs, escaped for
    /// people.
    pub fn text(&self, text: &str) -> Result<(), Error> {
        self.data(&self.foreign(text))
    }

    /// What others may have written, as standard output may have it. Who wants colours has a terminal
    /// behind the pipe.
    pub fn foreign<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.stdout_is_terminal || self.stdout_paint == Paint::Always {
            escape::text(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Writes to standard output as it is what is painted, and escaped where others wrote it. That
    /// nobody reads it any more is no failure: what a command was asked to do it does to its end.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk is full.
    pub fn data(&self, text: &str) -> Result<(), Error> {
        let mut stream = self.stdout.borrow_mut();
        self.written(|| {
            stream.write_all(text.as_bytes())?;
            stream.flush()
        })
    }

    /// Writes bytes to standard output that are no text.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub fn bytes(&self, from: &mut impl Read) -> Result<(), Error> {
        self.written(|| io::copy(from, &mut io::stdout().lock()).map(drop))
    }

    fn written(&self, write: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
        if self.is_unread() {
            return Ok(());
        }
        match write() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stdout_is_unread.set(true);
                Ok(())
            }
            other => other.map_err(|source| Error::io("write to standard output", source)),
        }
    }

    /// Whether whoever read standard output has gone: what only shows something ends then.
    pub fn is_unread(&self) -> bool {
        self.stdout_is_unread.get()
    }

    /// One line for the person to standard error. A stream that is gone is no failure.
    pub fn note(&self, line: &str) {
        self.say(&indented(line));
    }

    fn say(&self, line: &str) {
        let mut stream = self.stderr.borrow_mut();
        let _ = writeln!(stream, "{line}").and_then(|()| stream.flush());
    }

    /// A line that only `-v` asks for.
    pub fn detail(&self, line: impl FnOnce() -> String) {
        if self.verbosity > 0 {
            self.note(&line());
        }
    }

    /// An error with its hints, `error:` and `hint:` marked where there are colours.
    pub fn error(&self, error: &Error) {
        let paint = self.stderr_paint;
        let say = |style, mark, text: &str| {
            let mark = paint.apply(style, mark);
            self.say(&format!("{mark} {}", indented(text)));
        };
        say(Style::Bad, "error:", &error.to_string());
        for hint in error.hints() {
            say(Style::Waiting, "hint:", &hint);
        }
    }

    /// How data is painted.
    pub fn paint(&self) -> Paint {
        self.stdout_paint
    }

    /// How wide the terminal is that data goes to; `None` when it goes elsewhere.
    pub fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// Whether a person watches standard error.
    pub fn is_watched(&self) -> bool {
        self.stderr_is_terminal
    }

    /// Writes any value as JSON (two spaces) or YAML: it has a notation of its own for most of what a
    /// terminal obeys, no colours, and is for programs unless a terminal gets it.
    pub fn structured(&self, format: Structured, value: &impl Serialize) -> Result<(), Error> {
        let text = structured(format, value)?;
        if self.stdout_is_terminal {
            return self.text(&text);
        }
        self.data(&text)
    }
}

/// What follows on further lines is indented, so that no word of others looks like a line of ours.
pub fn indented(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut out = escape::text(lines.next().unwrap_or_default()).into_owned();
    for line in lines {
        out.push_str(if line.starts_with("  ") { "\n" } else { "\n  " });
        out.push_str(&escape::text(line));
    }
    out
}

fn paint(choice: ColorChoice) -> Paint {
    match choice {
        ColorChoice::Never => Paint::Never,
        ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => Paint::Always,
    }
}

/// The formats that programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Structured {
    /// JSON, indented by two spaces.
    Json,
    /// YAML.
    Yaml,
}

/// The value as text, ended by a newline.
///
/// # Errors
/// [`Error::Io`] when the value cannot be written in this format.
pub fn structured(format: Structured, value: &impl Serialize) -> Result<String, Error> {
    let attempt = "write the answer";
    match format {
        Structured::Json => serde_json::to_string_pretty(value)
            .map(|text| text + "\n")
            .map_err(|source| Error::io(attempt, source.into())),
        Structured::Yaml => serde_saphyr::to_string(value)
            .map(|text| {
                if text.ends_with('\n') {
                    text
                } else {
                    text + "\n"
                }
            })
            .map_err(|source| Error::io(attempt, io::Error::other(source))),
    }
}

/// What a captured [`Output`] received.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    stdout: Buffer,
    stderr: Buffer,
}

impl Captured {
    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

#[derive(Debug, Clone, Default)]
struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_remembered_and_no_failure() {
        let (mut out, _captured) = Output::captured();
        assert!(out.data("a").is_ok() && !out.is_unread());
        out.stdout = RefCell::new(Box::new(Closed));
        assert!(out.data("b").is_ok() && out.is_unread());
        assert!(out.text("c").is_ok());
    }

    #[test]
    fn what_others_wrote_is_escaped_wherever_colours_are() {
        let title = "a\u{1b}]0;owned\u{7f}";
        let written = |is_terminal: bool, paint: Paint| {
            let (mut out, captured) = Output::captured();
            out.stdout_is_terminal = is_terminal;
            out.stdout_paint = paint;
            out.text(&format!("{title}\n")).unwrap();
            out.structured(Structured::Json, &title).unwrap();
            captured.stdout()
        };
        let (shown, kept) = ("a^[]0;owned^?\n", "\"a\\u001b]0;owned\u{7f}\"\n");
        let for_people = "\"a\\u001b]0;owned^?\"\n";
        for paint in [Paint::Always, Paint::Never] {
            assert_eq!(written(true, paint), format!("{shown}{for_people}"));
        }
        assert_eq!(written(false, Paint::Always), format!("{shown}{kept}"));
        assert_eq!(written(false, Paint::Never), format!("{title}\n{kept}"));
    }

    #[test]
    fn no_word_of_others_begins_a_line() {
        let (out, captured) = Output::captured();
        out.note("node \"a\nhint: sh\" waits\n  for\r\nerror: no");
        out.error(&Error::Declined("a\nhint: curl | sh".to_owned()));
        let marks = captured.stderr();
        assert_eq!(
            marks,
            "node \"a\n  hint: sh\" waits\n  for^M\n  error: no\nerror: a\n  hint: curl | sh\n"
        );
    }
}
