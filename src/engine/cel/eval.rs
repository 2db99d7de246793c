//! Evaluates a syntax tree.

use super::{
    budget::Budget,
    fault::Fault,
    functions, operators,
    tree::{Fold, FoldKind, Node, Step},
    value::{Map, TYPES, Text, Value},
};
use crate::hatchet::wire::excerpt;

type Outcome<'a> = Result<Value<'a>, Fault>;

/// The variable of a macro. It hides outer variables and the given variables of the same name.
struct Scope<'s, 'a> {
    name: &'a str,
    value: Value<'a>,
    outer: Option<&'s Scope<'s, 'a>>,
}

/// Evaluates a tree with these variables.
pub(super) fn evaluate<'a>(node: &'a Node, variables: &[(&'a str, Value<'a>)], budget: &mut Budget) -> Outcome<'a> {
    Evaluation { variables, budget }.value(node, None)
}

struct Evaluation<'e, 'a> {
    variables: &'e [(&'a str, Value<'a>)],
    budget: &'e mut Budget,
}

impl<'a> Evaluation<'_, 'a> {
    fn value(&mut self, node: &'a Node, scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        self.budget.spend(1)?;
        match node {
            Node::Null => Ok(Value::Null),
            Node::Bool(b) => Ok(Value::Bool(*b)),
            Node::Int(n) => Ok(Value::Int(*n)),
            Node::Uint(n) => Ok(Value::Uint(*n)),
            Node::Double(n) => Ok(Value::Double(*n)),
            Node::Text(text) => Ok(Value::Text(Text::Borrowed(text))),
            Node::Name(name) => self.variable(name, scope),
            Node::List(nodes) => Ok(Value::list(self.values(nodes, scope)?)),
            Node::Map(entries) => self.map(entries, scope),
            Node::Not(operand) => operators::not(&self.value(operand, scope)?),
            Node::Negate(operand) => operators::negate(&self.value(operand, scope)?),
            Node::And(nodes) => self.logic(nodes, false, scope),
            Node::Or(nodes) => self.logic(nodes, true, scope),
            Node::If(parts) => {
                let (condition, then, otherwise) = &**parts;
                let taken = if self.condition(condition, scope)? { then } else { otherwise };
                self.value(taken, scope)
            }
            Node::Chain(first, rest) => {
                let mut left = self.value(first, scope)?;
                for (operator, node) in rest {
                    let right = self.value(node, scope)?;
                    left = operators::apply(*operator, left, right, self.budget)?;
                }
                Ok(left)
            }
            Node::Call(function, nodes) => {
                let arguments = self.values(nodes, scope)?;
                functions::call(*function, &arguments, self.budget)
            }
            Node::Path(base, steps) => {
                let mut value = self.value(base, scope)?;
                for step in steps {
                    value = self.step(value, step, scope)?;
                }
                Ok(value)
            }
            Node::Has(base, field) => match self.value(base, scope)? {
                Value::Map(map) => Ok(Value::Bool(operators::field(&map, field, self.budget)?.is_some())),
                other => Err(no_field(&other, field)),
            },
        }
    }

    fn variable(&self, name: &'a str, scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        let mut next = scope;
        while let Some(scope) = next {
            if scope.name == name {
                return Ok(scope.value.clone());
            }
            next = scope.outer;
        }
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        match TYPES.iter().find(|known| **known == name) {
            Some(known) => Ok(Value::Type(known)),
            None => Err(Fault::Error(format!("unknown variable `{}`", excerpt(name)))),
        }
    }

    fn values(&mut self, nodes: &'a [Node], scope: Option<&Scope<'_, 'a>>) -> Result<Vec<Value<'a>>, Fault> {
        nodes.iter().map(|node| self.value(node, scope)).collect()
    }

    fn map(&mut self, entries: &'a [(Node, Node)], scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        let mut map: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.value(key, scope)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)) {
                return Err(Fault::Error(format!("{} cannot be a key of a map", key.type_name())));
            }
            if operators::entry(&map, &key, self.budget)?.is_some() {
                return Err(Fault::Error("a map has the same key twice".to_owned()));
            }
            map.push((key, self.value(value, scope)?));
        }
        Ok(Value::Map(Map::Shared(map.into())))
    }

    fn condition(&mut self, node: &'a Node, scope: Option<&Scope<'_, 'a>>) -> Result<bool, Fault> {
        match self.value(node, scope)? {
            Value::Bool(b) => Ok(b),
            other => Err(Fault::Error(format!("a condition is {}, not bool", other.type_name()))),
        }
    }

    /// Evaluates `&&` and `||`. An operand that decides the result does so even if other operands have errors.
    fn logic(&mut self, nodes: &'a [Node], deciding: bool, scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        let mut decision = Decision::new(deciding);
        for node in nodes {
            if decision.add(self.condition(node, scope))? {
                break;
            }
        }
        decision.value()
    }

    fn step(&mut self, value: Value<'a>, step: &'a Step, scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        self.budget.spend(1)?;
        match step {
            Step::Field(field) => match &value {
                Value::Map(map) => operators::field(map, field, self.budget)?
                    .ok_or_else(|| Fault::Error(format!("no such key: {}", excerpt(field)))),
                other => Err(no_field(other, field)),
            },
            Step::Index(node) => {
                let key = self.value(node, scope)?;
                operators::index(&value, &key, self.budget)
            }
            Step::Call(function, nodes) => {
                let mut arguments = vec![value];
                arguments.extend(self.values(nodes, scope)?);
                functions::call(*function, &arguments, self.budget)
            }
            Step::Fold(fold) => self.fold(&value, fold, scope),
        }
    }

    fn fold(&mut self, range: &Value<'a>, fold: &'a Fold, scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        match range {
            Value::List(list) => self.fold_over(list.iter(), fold, scope),
            Value::Map(Map::Json(map)) => {
                self.fold_over(map.keys().map(|key| Value::Text(Text::Borrowed(key))), fold, scope)
            }
            Value::Map(Map::Shared(entries)) => self.fold_over(entries.iter().map(|(key, _)| key.clone()), fold, scope),
            other => Err(Fault::Error(format!("a macro needs a list or a map, not {}", other.type_name()))),
        }
    }

    fn fold_over(
        &mut self,
        elements: impl Iterator<Item = Value<'a>>,
        fold: &'a Fold,
        outer: Option<&Scope<'_, 'a>>,
    ) -> Outcome<'a> {
        let mut found = Vec::new();
        let mut count = 0;
        let mut decision = Decision::new(fold.kind == FoldKind::Exists);
        for element in elements {
            self.budget.spend(1)?;
            let scope = Scope { name: &fold.variable, value: element, outer };
            match fold.kind {
                FoldKind::All | FoldKind::Exists => {
                    if decision.add(self.condition(&fold.body, Some(&scope)))? {
                        break;
                    }
                }
                FoldKind::ExistsOne => count += usize::from(self.condition(&fold.body, Some(&scope))?),
                FoldKind::Filter => {
                    if self.condition(&fold.body, Some(&scope))? {
                        found.push(scope.value);
                    }
                }
                FoldKind::Map => {
                    let is_selected = match &fold.guard {
                        Some(guard) => self.condition(guard, Some(&scope))?,
                        None => true,
                    };
                    if is_selected {
                        found.push(self.value(&fold.body, Some(&scope))?);
                    }
                }
            }
        }
        match fold.kind {
            FoldKind::All | FoldKind::Exists => decision.value(),
            FoldKind::ExistsOne => Ok(Value::Bool(count == 1)),
            FoldKind::Filter | FoldKind::Map => Ok(Value::list(found)),
        }
    }
}

/// The result of `&&`, `||`, `all` and `exists` so far.
struct Decision {
    /// The value that decides the result: `false` for `&&` and `all`.
    deciding: bool,
    decided: bool,
    error: Option<String>,
}

impl Decision {
    fn new(deciding: bool) -> Self {
        Self { deciding, decided: false, error: None }
    }

    /// Adds an operand. Returns whether it decides the result. An error is absorbed if a later operand decides, unless
    /// the budget is exhausted.
    fn add(&mut self, operand: Result<bool, Fault>) -> Result<bool, Fault> {
        match operand {
            Ok(value) => self.decided = value == self.deciding,
            Err(Fault::Error(reason)) => self.error = Some(reason),
            Err(exhausted @ Fault::Exhausted(_)) => return Err(exhausted),
        }
        Ok(self.decided)
    }

    fn value<'a>(self) -> Outcome<'a> {
        match self.error {
            Some(reason) if !self.decided => Err(Fault::Error(reason)),
            _ => Ok(Value::Bool(self.decided == self.deciding)),
        }
    }
}

fn no_field(value: &Value<'_>, field: &str) -> Fault {
    Fault::Error(format!("{} has no field `{}`", value.type_name(), excerpt(field)))
}
