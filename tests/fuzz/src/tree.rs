//! Trees of JSON: valid objects with a few fields that are gone, of another type, extreme, doubled
//! or strange.

use bolero::generator::bolero_generator::ValueGenerator;
use bolero::generator::bolero_generator::driver::Driver;
use serde_json::{Map, Value, json};

use crate::text::{any_word, below, pick};

/// What one change may make of what is there, in bytes: what is large takes long, and finds no more.
const ROOM: usize = 8 * 1024;

/// Makes trees.
#[derive(Clone, Debug)]
pub struct Tree {
    seeds: Vec<Value>,
    words: &'static [&'static str],
}

/// Trees that are like these, with these words as keys and texts where others would not be.
///
/// # Panics
/// Without seeds.
pub fn tree(seeds: impl IntoIterator<Item = Value>, words: &'static [&'static str]) -> Tree {
    let seeds: Vec<Value> = seeds.into_iter().collect();
    assert!(!seeds.is_empty(), "no seeds");
    Tree { seeds, words }
}

impl ValueGenerator for Tree {
    type Output = Value;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Value> {
        let mut tree = pick(driver, &self.seeds)?.clone();
        for _ in 0..below(driver, 5)? {
            self.change(driver, &mut tree)?;
        }
        Some(tree)
    }
}

impl Tree {
    /// Goes down some way, and changes what is there.
    fn change<D: Driver>(&self, driver: &mut D, tree: &mut Value) -> Option<()> {
        let mut at = tree;
        loop {
            let inside = match &*at {
                Value::Object(fields) => fields.len(),
                Value::Array(items) => items.len(),
                _ => 0,
            };
            // The further down, the more there is.
            if inside == 0 || below(driver, 5)? == 0 {
                return self.replace(driver, at);
            }
            let index = below(driver, inside)?;
            if below(driver, 8)? == 0 {
                return self.around(driver, at, index);
            }
            at = match at {
                Value::Object(fields) => fields.values_mut().nth(index)?,
                Value::Array(items) => items.get_mut(index)?,
                _ => return None,
            };
        }
    }

    /// Changes what a list or map has.
    fn around<D: Driver>(&self, driver: &mut D, at: &mut Value, index: usize) -> Option<()> {
        let how = below(driver, 4)?;
        match at {
            Value::Object(fields) => {
                let key = fields.keys().nth(index)?.clone();
                match how {
                    0 => drop(fields.remove(&key)),
                    1 => {
                        let value = fields.remove(&key)?;
                        fields.insert(any_word(driver, self.words)?.to_owned(), value);
                    }
                    2 => {
                        let value = fields.get(&key)?.clone();
                        fields.insert(any_word(driver, self.words)?.to_owned(), value);
                    }
                    _ => {
                        let value = self.value(driver, 0)?;
                        fields.insert(any_word(driver, self.words)?.to_owned(), value);
                    }
                }
            }
            Value::Array(items) => match how {
                0 => drop(items.remove(index)),
                1 => {
                    let item = items.get(index)?.clone();
                    let times = below(driver, few(item.to_string().len()))?;
                    items.extend(std::iter::repeat_n(item, times));
                }
                2 => items.reverse(),
                _ => items.push(self.value(driver, 0)?),
            },
            _ => {}
        }
        Some(())
    }

    fn replace<D: Driver>(&self, driver: &mut D, at: &mut Value) -> Option<()> {
        *at = match below(driver, 6)? {
            // As what it is, in another shape.
            0 => json!([at.take()]),
            1 => json!(at.to_string()),
            2 => match &*at {
                Value::String(text) => {
                    let times = below(driver, few(text.len()))?;
                    json!(text.repeat(times))
                }
                _ => Value::Null,
            },
            3 => match &*at {
                Value::String(text) => json!(format!("{text}{}", any_word(driver, self.words)?)),
                _ => json!({}),
            },
            _ => self.value(driver, 0)?,
        };
        Some(())
    }

    fn value<D: Driver>(&self, driver: &mut D, depth: usize) -> Option<Value> {
        let kinds = if depth < 3 { 12 } else { 9 };
        Some(match below(driver, kinds)? {
            0 => Value::Null,
            1 => json!(driver.produce::<bool>()?),
            2 => json!(driver.produce::<i64>()?),
            3 => json!(*pick(
                driver,
                &[0, 1, -1, 2, 65_535, 65_536, 1 << 31, i64::MIN, i64::MAX]
            )?),
            4 => json!(u64::MAX),
            // As they are read again: others lose their last digit.
            5 => json!(*pick(driver, &[0.5, -1.5, 1e300, 1e-9])?),
            6..=8 => json!(any_word(driver, self.words)?),
            9 => {
                let length = below(driver, 4)?;
                let items: Option<Vec<Value>> =
                    (0..length).map(|_| self.value(driver, depth + 1)).collect();
                json!(items?)
            }
            10 => (0..below(driver, 100)?).fold(json!({}), |inner, _| json!({"a": inner})),
            _ => {
                let mut fields = Map::new();
                for _ in 0..below(driver, 4)? {
                    let key = any_word(driver, self.words)?;
                    fields.insert(key.to_owned(), self.value(driver, depth + 1)?);
                }
                Value::Object(fields)
            }
        })
    }
}

/// How many of what has so many bytes there is room for.
fn few(bytes: usize) -> usize {
    1 + ROOM / (bytes + 8)
}
