//! Free rules: CEL expressions that are read once and asked often, within limits.
//!
//! The interpreter underneath has no limits of its own and copies whatever it looks into. So an
//! expression is rewritten after it was read: paths such as `object.spec.replicas` become
//! variables that are looked up in the submitted JSON, once for all expressions about a request;
//! every turn of a loop costs as much as its body has parts; and what makes larger values out of
//! smaller ones pays for them, or is left out.

mod compile;
#[cfg(test)]
mod fuzz;
mod parts;
mod run;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexSet;
use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::This;
use kube_cel::cel::{Context, ExecutionError, FunctionContext, IdedExpr, Value};
use regex::Regex;
pub(super) use run::{Facts, View};

/// The longest expression, in characters.
pub(super) const MAX_LENGTH: usize = 1024;
/// How deep an expression may be nested.
const MAX_DEPTH: usize = 48;
/// How deep loops may be nested.
const MAX_LOOPS: usize = 3;
/// The longest text and list that an expression may make.
const MAX_SIZE: usize = 64 * 1024;

/// Functions that expressions may call besides the macros. Left out are those whose result or
/// running time can be a multiple of what they are given.
const FUNCTIONS: [&str; 55] = [
    "asApproximateFloat",
    "asInteger",
    "charAt",
    "cidr",
    "compareTo",
    "contains",
    "containsCIDR",
    "containsIP",
    "double",
    "duration",
    "endsWith",
    "family",
    "getEscapedPath",
    "getHost",
    "getHostname",
    "getHours",
    "getMinutes",
    "getPort",
    "getScheme",
    "getSeconds",
    "int",
    "ip",
    "isCIDR",
    "isGlobalUnicast",
    "isGreaterThan",
    "isIP",
    "isInteger",
    "isLessThan",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isQuantity",
    "isSemver",
    "isSorted",
    "isURL",
    "isUnspecified",
    "lowerAscii",
    "major",
    "masked",
    "matches",
    "max",
    "min",
    "minor",
    "patch",
    "prefixLength",
    "quantity",
    "semver",
    "sign",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "sum",
    "trim",
];

/// An expression that has been read.
#[derive(Debug)]
pub(super) struct Expression {
    tree: IdedExpr,
    /// What it looks at, by index into the engine's places.
    places: Vec<usize>,
    /// Its loops.
    turns: Vec<Turn>,
}

/// What is done in one turn of a loop, without what loops inside of it do.
#[derive(Debug)]
struct Turn {
    /// How many parts are evaluated.
    parts: u32,
    /// What is looked at: functions copy what they are given.
    places: Vec<usize>,
}

/// A path into what an expression sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    root: Root,
    steps: Vec<String>,
    /// Whether only its being there is asked for.
    test: bool,
    /// The fields of its items that are looked at, when it is known to be those only.
    only: Option<Vec<String>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.name())?;
        self.steps.iter().try_for_each(|step| write!(f, ".{step}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Root {
    Object,
    OldObject,
    Request,
    Namespace,
}

impl Root {
    const ALL: [Self; 4] = [
        Self::Object,
        Self::OldObject,
        Self::Request,
        Self::Namespace,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::OldObject => "oldObject",
            Self::Request => "request",
            Self::Namespace => "namespace",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|root| root.name() == name)
    }
}

/// What is wrong with an expression, and where; both count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

/// Reads expressions, and keeps what they have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiler {
    patterns: HashMap<String, Regex>,
    places: IndexSet<Place>,
}

impl Compiler {
    /// Reads an expression.
    pub(super) fn compile(&mut self, source: &str) -> Result<Expression, Vec<Fault>> {
        compile::compile(source, self)
    }

    /// What evaluates the expressions that were read.
    pub(super) fn finish(self) -> Engine {
        let patterns = self.patterns.clone();
        let mut context = Context::default().with_all();
        context.add_function("@sized", sized);
        context.add_function(
            "matches",
            move |This(text): This<Arc<String>>, pattern: Arc<String>| match patterns
                .get(pattern.as_str())
            {
                Some(pattern) => Ok(Value::Bool(pattern.is_match(&text))),
                None => Err(ExecutionError::function_error("matches", "unknown pattern")),
            },
        );
        Engine {
            context,
            compiler: self,
        }
    }
}

/// Hands on a value that was made, once it is paid for.
fn sized(call: &FunctionContext<'_, '_>, value: Value) -> Result<Value, ExecutionError> {
    let size = length(&value);
    if size > MAX_SIZE {
        let message = format!("longer than {MAX_SIZE}");
        return Err(ExecutionError::function_error(
            "a value that it makes",
            message,
        ));
    }
    let cost = size / 16;
    if cost > 0 && call.ptx.get_variable(format!("@pay:{cost}")).is_none() {
        return Err(ExecutionError::function_error(
            "a value that it makes",
            "too large",
        ));
    }
    Ok(value)
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        // What is inside counts, or lists of long texts could grow as they like.
        Value::List(items) => items.iter().map(|item| 1 + length(item)).sum(),
        Value::Map(map) => map.map.values().map(|item| 1 + length(item)).sum(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Evaluates expressions.
pub(super) struct Engine {
    context: Context<'static>,
    /// What has been read so far.
    compiler: Compiler,
}

impl Engine {
    /// Goes on reading where this one has ended: what was read before stays valid.
    pub(super) fn reopen(&self) -> Compiler {
        self.compiler.clone()
    }

    /// How many places and patterns are kept of all that was read so far.
    pub(super) fn kept(&self) -> usize {
        self.compiler.places.len() + self.compiler.patterns.len()
    }
}

impl Expression {
    /// How many places it looks at.
    pub(super) const fn places(&self) -> usize {
        self.places.len()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
