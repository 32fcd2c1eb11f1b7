//! `doctor`: is everything there that a hosted cluster needs?

use clap::Args;

use crate::error::Error;
use crate::mothership::checkup::checks::Level;
use crate::mothership::checkup::{look, table};
use crate::output::Structured;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron doctor\n\
    \x20 kubectl k0smotron doctor -o json | jq '.[] | select(.level != \"OK\")'\n\n\
    It changes nothing. It ends with exit code 1 when something does not work.")]
pub struct DoctorArgs {
    /// Only what is not as it should be
    #[arg(long)]
    pub problems: bool,
    /// Output format; a table unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structured>,
}

/// Looks at the mothership, the installation and the person's rights.
///
/// # Errors
/// [`Error::Unwell`] when something does not work; whatever keeps the mothership from answering at
/// all.
pub async fn run(session: &Session, args: &DoctorArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let mut findings = look(&connection).await?;
    let broken = findings
        .iter()
        .filter(|found| found.level == Level::Fail)
        .count();
    if args.problems {
        findings.retain(|found| found.level != Level::Ok);
    }
    let out = &session.out;
    match args.output {
        Some(format) => out.structured(format, &findings)?,
        None if findings.is_empty() => out.note("No problems were found."),
        None => out.data(&table(&findings).render(out.paint()))?,
    }
    if broken > 0 {
        return Err(Error::Unwell { problems: broken });
    }
    Ok(())
}
