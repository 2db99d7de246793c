//! Parses tokens into a syntax tree by recursive descent.
//!
//! [`MAX_DEPTH`] bounds the nesting, and with it the stack of every function that walks a tree.

use super::{
    functions::Function,
    lexer::{Token, position, tokens},
    tree::{Fold, FoldKind, Node, Operator, Step},
};
use crate::hatchet::wire::excerpt;

/// Largest nesting depth of brackets, calls, conditionals and macros. cel-go allows 250 levels of its grammar, of which
/// a bracket takes several.
pub(super) const MAX_DEPTH: u32 = 60;

/// Largest number of list literals, map literals and macros in an expression. Each adds at most one level to a value,
/// so this bounds the stack of every function that walks a value.
pub(super) const MAX_CONTAINERS: u32 = 250;

/// The operators between two values by precedence, the lowest first.
const PRECEDENCE: [&[Operator]; 3] = [
    &[
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::In,
    ],
    &[Operator::Add, Operator::Subtract],
    &[Operator::Multiply, Operator::Divide, Operator::Remainder],
];

/// Reserved words of the language.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Parses a text. The error is a single line.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser { text, tokens: tokens(text)?, index: 0, depth: 0, containers: 0 };
    let node = parser.expression()?;
    if *parser.peek() != Token::End {
        return Err(parser.unexpected());
    }
    Ok(node)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(usize, Token)>,
    /// Index of the next token.
    index: usize,
    depth: u32,
    containers: u32,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.index).map_or(&Token::End, |(_, token)| token)
    }

    /// Consumes the next token, unless it is the end.
    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.index += usize::from(token != Token::End);
        token
    }

    /// Consumes the next token if it is this sign.
    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.index += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.takes(sign) { Ok(()) } else { Err(format!("{}: expected `{sign}`", self.unexpected())) }
    }

    fn here(&self) -> String {
        position(self.text, self.tokens.get(self.index).map_or(self.text.len(), |(start, _)| *start))
    }

    fn unexpected(&self) -> String {
        let found = match self.peek() {
            Token::Name(name) => format!("`{}`", excerpt(name)),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Int(_) | Token::Uint(_) | Token::Double(_) => "number".to_owned(),
            Token::Text(_) => "string".to_owned(),
            Token::End => "end".to_owned(),
        };
        format!("unexpected {found} at {}", self.here())
    }

    /// Parses a whole expression. Each level of nesting calls this function, which bounds the depth.
    fn expression(&mut self) -> Result<Node, String> {
        if self.depth == MAX_DEPTH {
            return Err(format!("the expression is nested more than {MAX_DEPTH} deep at {}", self.here()));
        }
        self.depth += 1;
        let condition = self.or()?;
        let node = if self.takes("?") {
            let then = self.or()?;
            self.expect(":")?;
            Node::If(Box::new((condition, then, self.expression()?)))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    fn count_container(&mut self) -> Result<(), String> {
        if self.containers == MAX_CONTAINERS {
            return Err(format!("the expression has more than {MAX_CONTAINERS} lists, maps and macros"));
        }
        self.containers += 1;
        Ok(())
    }

    fn or(&mut self) -> Result<Node, String> {
        let mut all = vec![self.and()?];
        while self.takes("||") {
            all.push(self.and()?);
        }
        Ok(single(all, Node::Or))
    }

    fn and(&mut self) -> Result<Node, String> {
        let mut all = vec![self.chain(0)?];
        while self.takes("&&") {
            all.push(self.chain(0)?);
        }
        Ok(single(all, Node::And))
    }

    fn chain(&mut self, precedence: usize) -> Result<Node, String> {
        let Some(operators) = PRECEDENCE.get(precedence) else { return self.unary() };
        let first = self.chain(precedence + 1)?;
        let mut rest = Vec::new();
        while let Some(operator) = operators.iter().copied().find(|operator| self.takes_operator(*operator)) {
            rest.push((operator, self.chain(precedence + 1)?));
        }
        Ok(if rest.is_empty() { first } else { Node::Chain(Box::new(first), rest) })
    }

    fn takes_operator(&mut self, operator: Operator) -> bool {
        if operator != Operator::In {
            return self.takes(operator.sign());
        }
        let found = matches!(self.peek(), Token::Name(name) if name == "in");
        self.index += usize::from(found);
        found
    }

    /// Parses a value with its `!` or `-` signs, of which pairs cancel out.
    fn unary(&mut self) -> Result<Node, String> {
        for (sign, wrap) in [("!", Node::Not as fn(Box<Node>) -> Node), ("-", Node::Negate)] {
            let mut count = 0;
            while self.takes(sign) {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            // The smallest integer has no positive counterpart.
            if sign == "-" && count % 2 == 1 && *self.peek() == Token::Int(i64::MIN.unsigned_abs()) {
                self.index += 1;
                return self.path(Node::Int(i64::MIN));
            }
            let value = self.primary()?;
            let value = self.path(value)?;
            return Ok(if count % 2 == 1 { wrap(Box::new(value)) } else { wrap(Box::new(wrap(Box::new(value)))) });
        }
        let value = self.primary()?;
        self.path(value)
    }

    /// Parses the steps that follow a value: indexes, fields and calls.
    fn path(&mut self, base: Node) -> Result<Node, String> {
        let mut steps = Vec::new();
        loop {
            if self.takes("[") {
                steps.push(Step::Index(self.expression()?));
                self.expect("]")?;
            } else if self.takes(".") {
                let name = self.name()?;
                steps.push(if self.takes("(") { self.member_call(&name)? } else { Step::Field(name) });
            } else {
                break;
            }
        }
        Ok(if steps.is_empty() { base } else { Node::Path(Box::new(base), steps) })
    }

    fn name(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::Name(name) if !RESERVED.contains(&name.as_str()) => {
                let name = name.clone();
                self.index += 1;
                Ok(name)
            }
            _ => Err(format!("{}: expected a name", self.unexpected())),
        }
    }

    fn member_call(&mut self, name: &str) -> Result<Step, String> {
        let place = self.here();
        let mut arguments = self.list(")")?;
        let kind = match (name, arguments.len()) {
            ("all", 2) => FoldKind::All,
            ("exists", 2) => FoldKind::Exists,
            ("exists_one" | "existsOne", 2) => FoldKind::ExistsOne,
            ("map", 2 | 3) => FoldKind::Map,
            ("filter", 2) => FoldKind::Filter,
            _ => return Ok(Step::Call(Function::member(name).ok_or_else(|| unknown(name, &place))?, arguments)),
        };
        self.count_container()?;
        let body = arguments.pop();
        let guard = (arguments.len() == 2).then(|| arguments.pop()).flatten();
        match (arguments.pop(), body) {
            (Some(Node::Name(variable)), Some(body)) => Ok(Step::Fold(Box::new(Fold { kind, variable, guard, body }))),
            _ => Err(format!("the first argument of `{name}` at {place} must be the name of a variable")),
        }
    }

    fn primary(&mut self) -> Result<Node, String> {
        match self.next() {
            Token::Int(n) => Ok(Node::Int(
                i64::try_from(n).map_err(|_| format!("number `{n}` is out of range before {}", self.here()))?,
            )),
            Token::Uint(n) => Ok(Node::Uint(n)),
            Token::Double(n) => Ok(Node::Double(n)),
            Token::Text(text) => Ok(Node::Text(text)),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => {
                self.count_container()?;
                Ok(Node::List(self.list("]")?))
            }
            Token::Sign("{") => {
                self.count_container()?;
                Ok(Node::Map(self.entries()?))
            }
            Token::Sign(".") => {
                let name = self.name()?;
                self.named(name)
            }
            Token::Name(name) => match name.as_str() {
                "null" => Ok(Node::Null),
                "true" => Ok(Node::Bool(true)),
                "false" => Ok(Node::Bool(false)),
                _ => {
                    self.index -= 1;
                    let name = self.name()?;
                    self.named(name)
                }
            },
            Token::Sign(_) => {
                self.index -= 1;
                Err(self.unexpected())
            }
            Token::End => Err(self.unexpected()),
        }
    }

    /// Parses the rest of a call if the name is followed by `(`; else the name is a variable.
    fn named(&mut self, name: String) -> Result<Node, String> {
        let place = self.here();
        if !self.takes("(") {
            return Ok(Node::Name(name));
        }
        let mut arguments = self.list(")")?;
        if name != "has" {
            return Ok(Node::Call(Function::global(&name).ok_or_else(|| unknown(&name, &place))?, arguments));
        }
        let not_a_field = || format!("the argument of `has` at {place} must be a field, such as `input.id`");
        match (arguments.pop(), arguments.is_empty()) {
            (Some(Node::Path(base, mut steps)), true) => match steps.pop() {
                Some(Step::Field(field)) if steps.is_empty() => Ok(Node::Has(base, field)),
                Some(Step::Field(field)) => Ok(Node::Has(Box::new(Node::Path(base, steps)), field)),
                _ => Err(not_a_field()),
            },
            _ => Err(not_a_field()),
        }
    }

    /// Parses expressions up to a closing bracket, optionally with a trailing comma.
    fn list(&mut self, closing: &str) -> Result<Vec<Node>, String> {
        let mut all = Vec::new();
        while !self.takes(closing) {
            all.push(self.expression()?);
            if !self.takes(",") {
                self.expect(closing)?;
                break;
            }
        }
        Ok(all)
    }

    fn entries(&mut self) -> Result<Vec<(Node, Node)>, String> {
        let mut all = Vec::new();
        while !self.takes("}") {
            let key = self.expression()?;
            self.expect(":")?;
            all.push((key, self.expression()?));
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(all)
    }
}

/// Returns a single node unchanged, or combines several nodes with `of_many`.
fn single(mut all: Vec<Node>, combine: fn(Vec<Node>) -> Node) -> Node {
    match all.pop() {
        Some(only) if all.is_empty() => only,
        Some(last) => {
            all.push(last);
            combine(all)
        }
        None => combine(all),
    }
}

fn unknown(name: &str, place: &str) -> String {
    format!("unknown function `{}` at {place}: the embedded engine has {}", excerpt(name), Function::names())
}
