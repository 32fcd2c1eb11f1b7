//! What is in an expression: what it looks at, what it makes, and how much of it there is.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{EntryExpr, Expr, operators};

use super::Turn;

/// Gathers the fields of a variable that an expression looks at; false when it looks at the
/// variable as a whole.
pub(super) fn fields_of(expr: &IdedExpr, variable: &str, fields: &mut Vec<String>) -> bool {
    let mut all = |mut exprs: &mut dyn Iterator<Item = &IdedExpr>| {
        Iterator::all(&mut exprs, |expr| fields_of(expr, variable, fields))
    };
    match &expr.expr {
        Expr::Literal(_) => true,
        Expr::Ident(name) => name != variable,
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) if name == variable => {
                if !fields.contains(&select.field) {
                    fields.push(select.field.clone());
                }
                true
            }
            _ => all(&mut std::iter::once(&*select.operand)),
        },
        Expr::List(list) => all(&mut list.elements.iter()),
        Expr::Call(call) => all(&mut call.target.as_deref().into_iter().chain(&call.args)),
        // An inner loop may have a variable of the same name.
        Expr::Comprehension(each) if each.iter_var != variable => {
            all(&mut [&each.iter_range, &each.loop_step].into_iter())
        }
        _ => false,
    }
}

/// Whether it makes a larger value out of smaller ones that are not all written down.
pub(super) fn makes_more(expr: &Expr) -> bool {
    let written = |expr: &IdedExpr| matches!(expr.expr, Expr::Literal(_));
    match expr {
        Expr::Call(call) => call.func_name == operators::ADD,
        Expr::List(list) => !list.elements.iter().all(written),
        Expr::Map(map) => !map.entries.is_empty(),
        _ => false,
    }
}

impl Turn {
    pub(super) fn from_step(step: &IdedExpr) -> Self {
        let mut turn = Self {
            parts: 1,
            places: Vec::new(),
        };
        turn.add(step);
        turn
    }

    /// Adds the parts of an expression, and what it looks at.
    fn add(&mut self, expr: &IdedExpr) {
        self.parts = self.parts.saturating_add(1);
        match &expr.expr {
            Expr::Unspecified | Expr::Literal(_) | Expr::Struct(_) => {}
            Expr::Ident(name) => {
                let place = name.strip_prefix('@').map(str::parse::<usize>);
                self.places.extend(place.and_then(Result::ok));
            }
            Expr::Select(select) => self.add(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(|expr| self.add(expr)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.add(&entry.key);
                        self.add(&entry.value);
                    }
                }
            }
            Expr::Call(call) => {
                let target = call.target.as_deref().into_iter();
                target.chain(&call.args).for_each(|expr| self.add(expr));
            }
            // A loop pays for its turns by itself.
            Expr::Comprehension(each) => self.add(&each.iter_range),
        }
    }
}
