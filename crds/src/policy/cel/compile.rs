//! Reads the CEL expressions of policies, and refuses what is malformed, unknown or without bounds.

use std::thread;

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators,
};
use kube_cel::cel::parser::{ParseError, Parser};
use regex::RegexBuilder;

use super::parts::{fields_of, makes_more};
use super::source::{locate, nesting};
use super::{
    Compiler, Expression, FUNCTIONS, Fault, MAX_DEPTH, MAX_LENGTH, MAX_LOOPS, Place, Root, Turn,
};

/// The parser's own limit. Never met: it panics on its way out of it.
const MAX_RECURSION: u16 = 96;
/// The parser takes up to 150 KiB for each level of brackets, which is more than the stack of an
/// ordinary thread has room for.
const PARSER_STACK: usize = 16 * 1024 * 1024;
/// The largest program that a regular expression may become, in bytes.
const MAX_PATTERN: usize = 64 * 1024;

const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

pub(super) fn compile(source: &str, compiler: &mut Compiler) -> Result<Expression, Vec<Fault>> {
    let length = source.chars().count();
    if length > MAX_LENGTH {
        let message = format!("must be no more than {MAX_LENGTH} characters, not {length}");
        return Err(vec![at_start(message)]);
    }
    let mut tree = parse(source)?;
    let mut walk = Walk {
        source,
        compiler,
        scope: Vec::new(),
        places: Vec::new(),
        turns: Vec::new(),
        faults: Vec::new(),
    };
    walk.visit(&mut tree, 0);
    if walk.faults.is_empty() {
        Ok(Expression {
            tree,
            places: walk.places,
            turns: walk.turns,
        })
    } else {
        Err(walk.faults)
    }
}

fn at_start(message: String) -> Fault {
    Fault {
        line: 1,
        column: 1,
        message,
    }
}

fn parse(source: &str) -> Result<IdedExpr, Vec<Fault>> {
    nesting(source).map_err(|fault| vec![fault])?;
    let text = source.to_owned();
    // The generated parser underneath is not ours to vouch for: a panic in it is a fault of the
    // expression, not the end of the program.
    let parsed = thread::Builder::new()
        .name("cel-parser".to_owned())
        .stack_size(PARSER_STACK)
        .spawn(move || {
            Parser::new()
                .max_recursion_depth(MAX_RECURSION)
                .parse(&text)
                .map_err(|errors| errors.errors.iter().map(fault).collect::<Vec<Fault>>())
        })
        .map(thread::JoinHandle::join);
    match parsed {
        Ok(Ok(Ok(tree))) => Ok(tree),
        Ok(Ok(Err(mut faults))) => {
            faults.dedup();
            Err(faults)
        }
        Ok(Err(_)) | Err(_) => Err(vec![at_start("cannot be parsed".to_owned())]),
    }
}

fn fault(error: &ParseError) -> Fault {
    Fault {
        line: usize::try_from(error.pos.0).unwrap_or(1).max(1),
        column: usize::try_from(error.pos.1).unwrap_or(1).max(1),
        message: one_line(&error.msg),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Walk<'a> {
    source: &'a str,
    compiler: &'a mut Compiler,
    /// Variables of the loops around.
    scope: Vec<String>,
    places: Vec<usize>,
    turns: Vec<Turn>,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn fault(&mut self, word: &str, message: String) {
        let (line, column) = locate(self.source, word);
        self.faults.push(Fault {
            line,
            column,
            message,
        });
    }

    fn visit(&mut self, expr: &mut IdedExpr, depth: usize) {
        if depth > MAX_DEPTH {
            if self.faults.is_empty() {
                self.fault("", format!("must not be nested more than {MAX_DEPTH} deep"));
            }
            return;
        }
        let deeper = depth + 1;
        if let Some(place) = self.place(expr) {
            expr.expr = Expr::Ident(format!("@{}", self.index(place)));
            return;
        }
        match &mut expr.expr {
            Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if !name.starts_with('@') && !self.scope.contains(name) {
                    let name = name.clone();
                    let known = Root::ALL.map(Root::name).join(", ");
                    self.fault(
                        &name,
                        format!("unknown variable {name:?}; must be one of {known}"),
                    );
                }
            }
            Expr::Select(select) => self.visit(&mut select.operand, deeper),
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.visit(element, deeper);
                }
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&mut entry.key, deeper);
                            self.visit(&mut entry.value, deeper);
                        }
                        EntryExpr::StructField(_) => self.no_struct(""),
                    }
                }
            }
            Expr::Struct(name) => {
                let name = name.type_name.clone();
                self.no_struct(&name);
            }
            Expr::Unspecified => self.fault("", "cannot be parsed".to_owned()),
            Expr::Call(call) => self.call(call, deeper),
            Expr::Comprehension(each) => {
                match self.narrowed(each) {
                    Some(place) => {
                        each.iter_range.expr = Expr::Ident(format!("@{}", self.index(place)));
                    }
                    None => self.visit(&mut each.iter_range, deeper),
                }
                if self.scope.len() >= MAX_LOOPS {
                    let message = format!("loops are nested more than {MAX_LOOPS} deep");
                    let variable = each.iter_var.clone();
                    self.fault(&variable, message);
                    return;
                }
                self.scope.push(each.iter_var.clone());
                self.visit(&mut each.accu_init, deeper);
                self.visit(&mut each.loop_cond, deeper);
                self.visit(&mut each.loop_step, deeper);
                self.visit(&mut each.result, deeper);
                self.scope.pop();
                self.turns.push(Turn::from_step(&each.loop_step));
                let turn = format!("@turn:{}", self.turns.len() - 1);
                let condition = std::mem::take(&mut each.loop_cond);
                each.loop_cond = ided(Expr::Call(CallExpr {
                    func_name: operators::LOGICAL_AND.to_owned(),
                    target: None,
                    args: vec![condition, ided(Expr::Ident(turn))],
                }));
            }
        }
        if makes_more(&expr.expr) {
            let made = std::mem::take(expr);
            expr.expr = Expr::Call(CallExpr {
                func_name: "@sized".to_owned(),
                target: None,
                args: vec![made],
            });
        }
    }

    fn no_struct(&mut self, name: &str) {
        self.fault(name, "message types are not supported".to_owned());
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) {
        let name = call.func_name.clone();
        let operator = OPERATORS.contains(&name.as_str()) || name == operators::NOT_STRICTLY_FALSE;
        if !operator && !FUNCTIONS.contains(&name.as_str()) {
            self.fault(&name, format!("unknown function {name:?}"));
        }
        let target = call.target.as_deref_mut();
        for expr in target.into_iter().chain(&mut call.args) {
            self.visit(expr, depth);
        }
        if name == "matches" {
            self.pattern(call);
        }
    }

    fn pattern(&mut self, call: &CallExpr) {
        let Some(Expr::Literal(LiteralValue::String(pattern))) =
            call.args.last().map(|argument| &argument.expr)
        else {
            self.fault(
                "matches",
                "the pattern of matches() must be a string literal".to_owned(),
            );
            return;
        };
        let pattern = pattern.inner();
        let compiled = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
        match compiled {
            Ok(compiled) => {
                self.compiler.patterns.insert(pattern.to_owned(), compiled);
            }
            Err(error) => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                self.fault(
                    "matches",
                    format!("invalid regular expression: {}", one_line(reason)),
                );
            }
        }
    }

    /// The path that an expression stands for, if it is one.
    fn place(&self, expr: &IdedExpr) -> Option<Place> {
        let mut steps = Vec::new();
        let mut test = false;
        let mut at = expr;
        loop {
            match &at.expr {
                Expr::Ident(name) if !self.scope.contains(name) => {
                    steps.reverse();
                    let root = Root::from_name(name)?;
                    return Some(Place {
                        root,
                        steps,
                        test,
                        only: None,
                    });
                }
                Expr::Select(select) => {
                    if select.test {
                        // Only ever outermost: what has() is asked of is no truth value.
                        if !steps.is_empty() {
                            return None;
                        }
                        test = true;
                    }
                    steps.push(select.field.clone());
                    at = &select.operand;
                }
                Expr::Call(call) if call.func_name == operators::INDEX => {
                    let [operand, index] = call.args.as_slice() else {
                        return None;
                    };
                    let Expr::Literal(LiteralValue::String(key)) = &index.expr else {
                        return None;
                    };
                    steps.push(key.inner().to_owned());
                    at = operand;
                }
                _ => return None,
            }
        }
    }

    /// The list that a loop is over, with only the fields that its body looks at: most of what is
    /// in mounts or labels is never asked for, and copying it would be most of the work.
    fn narrowed(&self, each: &ComprehensionExpr) -> Option<Place> {
        let place = self.place(&each.iter_range).filter(|place| !place.test)?;
        let mut fields = Vec::new();
        let narrow = fields_of(&each.loop_step, &each.iter_var, &mut fields);
        (narrow && !fields.is_empty()).then_some(Place {
            only: Some(fields),
            ..place
        })
    }

    fn index(&mut self, place: Place) -> usize {
        let (index, _) = self.compiler.places.insert_full(place);
        if !self.places.contains(&index) {
            self.places.push(index);
        }
        index
    }
}

fn ided(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}
