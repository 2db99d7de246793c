//! The syntax tree.

use super::functions::Function;

/// An expression.
///
/// Chains such as `a + b + c`, `a.b.c` and `a && b && c` are a single node each, so that a tree is only as deep as its
/// brackets, conditionals and macros are nested.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Name(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    /// Condition, value if true, value if false.
    If(Box<(Node, Node, Node)>),
    /// Operators of one precedence, from left to right.
    Chain(Box<Node>, Vec<(Operator, Node)>),
    Call(Function, Vec<Node>),
    Path(Box<Node>, Vec<Step>),
    /// Whether a value has a field.
    Has(Box<Node>, String),
}

/// A step of a path.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Field(String),
    Index(Node),
    Call(Function, Vec<Node>),
    Fold(Box<Fold>),
}

/// A macro over the elements of a list or the keys of a map.
#[derive(Debug, Clone)]
pub(super) struct Fold {
    pub(super) kind: FoldKind,
    pub(super) variable: String,
    /// The condition of `map` with three arguments.
    pub(super) guard: Option<Node>,
    pub(super) body: Node,
}

/// The kind of a macro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// An operator between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    /// The operator's text.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}
