//! Evaluates the CEL expressions of policies about one request, within a cost and a time.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use indexmap::IndexSet;
use kube_cel::cel::context::VariableResolver;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, ExecutionError, Value};
use serde_json::Value as Json;

use super::{Engine, Expression, Place, Root, Turn};

/// What evaluating one expression may cost: a unit for each part of a loop's body at each turn, for
/// each value and 64 bytes of text that are looked up, and for 16 items or bytes of what is made.
const MAX_COST: u32 = 100_000;
/// The longest error that is handed on, in characters.
const MAX_ERROR: usize = 200;

/// What expressions see.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Facts<'a> {
    pub object: &'a Json,
    pub old_object: &'a Json,
    pub request: &'a Json,
    pub namespace: &'a Json,
}

/// Until when all expressions about one request have to be done. Costs come first, and end the same
/// way everywhere; this is for what they don't see.
const LIMIT: Duration = Duration::from_millis(25);
/// Up to this cost of one expression time is not looked at: a machine that stalls is no reason to
/// refuse what takes microseconds.
const FREE: u32 = 1_000;

/// What the expressions about one request see, and until when.
pub(in crate::policy) struct View<'a> {
    places: &'a IndexSet<Place>,
    facts: Facts<'a>,
    deadline: Instant,
    /// With a variable for each place that was looked up and is there.
    context: Context<'a>,
    /// What it costs to read what is at a place; of those that were looked up.
    costs: Vec<Option<u32>>,
}

impl Engine {
    /// Lets expressions look at a request, from now on.
    pub(in crate::policy) fn view<'a>(&'a self, facts: Facts<'a>) -> View<'a> {
        View {
            places: &self.compiler.places,
            facts,
            deadline: Instant::now() + LIMIT,
            context: self.context.new_inner_scope(),
            costs: vec![None; self.compiler.places.len()],
        }
    }
}

impl View<'_> {
    /// Whether the expression holds; an error when it has no answer or one that is neither.
    pub(in crate::policy) fn holds(&mut self, expression: &Expression) -> Result<bool, String> {
        match self.value(expression)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(format!("must evaluate to bool, not {}", other.type_of())),
        }
    }

    /// The text that the expression makes.
    pub(in crate::policy) fn text(&mut self, expression: &Expression) -> Result<String, String> {
        match self.value(expression)? {
            Value::String(text) => Ok(short(&text)),
            other => Err(format!("must evaluate to string, not {}", other.type_of())),
        }
    }

    fn value(&mut self, expression: &Expression) -> Result<Value, String> {
        // Everything that it names is looked up beforehand: a variable is lent to the interpreter,
        // and what a resolver hands over is copied at each use.
        for index in &expression.places {
            self.look_up(*index);
        }
        let run = Run {
            deadline: self.deadline,
            turns: &expression.turns,
            costs: &self.costs,
            cost: AtomicU32::new(0),
            late: AtomicBool::new(false),
        };
        run.pay(run.cost_of(&expression.places));
        run.within_limits()?;
        let mut context = self.context.new_inner_scope();
        context.set_variable_resolver(&run);
        // The interpreter panics where it is not finished. None of the ways that are known lead
        // there, and one that isn't must not take a request with it.
        let result = catch_unwind(AssertUnwindSafe(|| {
            Value::resolve(&expression.tree, &context)
        }));
        // A limit that was met counts even where an operator has swallowed the error.
        run.within_limits()?;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(_) => Err("it cannot be evaluated".to_owned()),
        }
    }

    /// Makes a variable of what is at a place, unless there is one.
    fn look_up(&mut self, index: usize) {
        let (Some(place), Some(cost)) = (self.places.get_index(index), self.costs.get_mut(index))
        else {
            return;
        };
        if cost.is_none() {
            let mut reader = Reader { cost: 0 };
            if let Some(value) = reader.look_up(self.facts, place) {
                self.context
                    .add_variable_from_value(format!("@{index}"), value);
            }
            *cost = Some(reader.cost);
        }
    }

    fn explain(&self, error: &ExecutionError) -> String {
        if let ExecutionError::UndeclaredReference(name) = error
            && let Some(place) = name
                .strip_prefix('@')
                .and_then(|index| self.places.get_index(index.parse().ok()?))
        {
            return format!("no such field: {place}");
        }
        short(&error.to_string())
    }
}

/// One evaluation.
struct Run<'a> {
    deadline: Instant,
    turns: &'a [Turn],
    costs: &'a [Option<u32>],
    cost: AtomicU32,
    late: AtomicBool,
}

impl Run<'_> {
    /// False when that was too much, and from then on.
    fn pay(&self, cost: u32) -> bool {
        let before = self.cost.fetch_add(cost, Ordering::Relaxed);
        let cost = before.saturating_add(cost);
        if cost > MAX_COST {
            // Where it stays, however much is added.
            self.cost.store(u32::MAX / 2, Ordering::Relaxed);
            return false;
        }
        let in_time = cost <= FREE || Instant::now() <= self.deadline;
        if !in_time {
            self.late.store(true, Ordering::Relaxed);
        }
        in_time
    }

    fn cost_of(&self, places: &[usize]) -> u32 {
        let costs = places.iter().filter_map(|index| *self.costs.get(*index)?);
        costs.fold(0, u32::saturating_add)
    }

    fn within_limits(&self) -> Result<(), String> {
        if self.cost.load(Ordering::Relaxed) > MAX_COST {
            return Err(format!(
                "it costs more than {MAX_COST}: too many loop iterations, or too much data"
            ));
        }
        if self.late.load(Ordering::Relaxed) {
            return Err(format!(
                "it takes longer than the {} ms allowed for all rules",
                LIMIT.as_millis()
            ));
        }
        Ok(())
    }
}

impl VariableResolver for Run<'_> {
    fn resolve(&self, name: &str) -> Option<Value> {
        let cost = match name.strip_prefix("@turn:") {
            Some(turn) => {
                let turn = self.turns.get(turn.parse::<usize>().ok()?)?;
                turn.parts.saturating_add(self.cost_of(&turn.places))
            }
            None => name.strip_prefix("@pay:")?.parse().ok()?,
        };
        self.pay(cost).then_some(Value::Bool(true))
    }
}

/// Reads values out of submitted JSON, and counts what they cost.
struct Reader {
    cost: u32,
}

impl Reader {
    /// False when that was too much: reading ends there, and the price says so.
    fn pay(&mut self, cost: u32) -> bool {
        self.cost = self.cost.saturating_add(cost);
        self.cost <= MAX_COST
    }

    fn look_up(&mut self, facts: Facts<'_>, place: &Place) -> Option<Value> {
        let root = match place.root {
            Root::Object => facts.object,
            Root::OldObject => facts.old_object,
            Root::Request => facts.request,
            Root::Namespace => facts.namespace,
        };
        let (steps, last) = match place.steps.split_last() {
            Some((last, steps)) if place.test => (steps, Some(last)),
            _ => (place.steps.as_slice(), None),
        };
        let found = steps.iter().try_fold(root, |at, step| at.get(step))?;
        if let Some(last) = last {
            let there = found.as_object()?.contains_key(last);
            return self.pay(1).then_some(Value::Bool(there));
        }
        match (found, &place.only) {
            (Json::Array(items), Some(only)) => {
                let items: Option<Vec<Value>> =
                    items.iter().map(|item| self.narrow(item, only)).collect();
                Some(Value::List(Arc::new(items?)))
            }
            _ => self.convert(found),
        }
    }

    /// An item with the given fields only.
    fn narrow(&mut self, item: &Json, only: &[String]) -> Option<Value> {
        let Json::Object(fields) = item else {
            return self.convert(item);
        };
        if !self.pay(1) {
            return None;
        }
        let mut map = HashMap::new();
        for name in only {
            if let Some(value) = fields.get(name) {
                map.insert(Key::from(name.as_str()), self.convert(value)?);
            }
        }
        Some(Value::Map(Map { map: Arc::new(map) }))
    }

    fn convert(&mut self, json: &Json) -> Option<Value> {
        let text = match json {
            Json::String(text) => text.len() / 64,
            _ => 0,
        };
        if !self.pay(u32::try_from(text).unwrap_or(MAX_COST).saturating_add(1)) {
            return None;
        }
        Some(match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => number
                .as_i64()
                .map(Value::Int)
                .or_else(|| number.as_u64().map(Value::UInt))
                .or_else(|| number.as_f64().map(Value::Float))
                .unwrap_or(Value::Null),
            Json::String(value) => Value::String(Arc::new(value.clone())),
            Json::Array(items) => {
                let items: Option<Vec<Value>> =
                    items.iter().map(|item| self.convert(item)).collect();
                Value::List(Arc::new(items?))
            }
            Json::Object(fields) => {
                let fields: Option<HashMap<Key, Value>> = fields
                    .iter()
                    .map(|(key, value)| Some((Key::from(key.as_str()), self.convert(value)?)))
                    .collect();
                Value::Map(Map {
                    map: Arc::new(fields?),
                })
            }
        })
    }
}

fn short(text: &str) -> String {
    let mut short: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_ERROR)
        .collect();
    if text.chars().nth(MAX_ERROR).is_some() {
        short.push('…');
    }
    short
}
