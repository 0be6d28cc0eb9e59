//! The typed tree of an expression. Only `lower` makes one: every operand has the type that its operator takes.

use super::scope::ColumnRef;
use super::{Type, Value};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A value. Of [`Type::Unknown`] only before it met its context.
    Literal(Value<'static>, Type),
    /// A column of the row.
    Column(ColumnRef),
    /// What is known of the caller.
    Caller(Fact),
    /// The time at which the transaction began.
    Now,
    /// `NOT`.
    Not(Box<Expr>),
    /// `AND`, from left to right until one is false.
    And(Vec<Expr>),
    /// `OR`, from left to right until one is true.
    Or(Vec<Expr>),
    /// Two operands of one type.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `IS …`, never NULL.
    Is(Test, Box<Expr>),
    /// Two operands and the type of the result.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>, Type),
    /// `-`, of a number or an interval.
    Negate(Box<Expr>),
    /// `||` of texts.
    Concat(Box<Expr>, Box<Expr>),
    /// `LIKE` and `ILIKE`.
    Like {
        /// `NOT`.
        negated: bool,
        /// `ILIKE`: the case of ASCII letters does not count.
        fold_case: bool,
        /// What is matched.
        text: Box<Expr>,
        /// By what.
        pattern: Box<Expr>,
        /// `ESCAPE`: `None` inside means that nothing escapes.
        escape: Option<char>,
    },
    /// `IN`, of values of one type.
    In {
        /// `NOT`.
        negated: bool,
        /// What is looked for.
        value: Box<Expr>,
        /// In what.
        list: Vec<Expr>,
    },
    /// `= ANY (array)` of texts.
    AnyOf(Box<Expr>, Box<Expr>),
    /// Conditions and results, the result where none holds, and the type of the results.
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>, Type),
    /// The first that is not NULL, and the type.
    Coalesce(Vec<Expr>, Type),
    /// The first, unless it equals the second, and the type.
    NullIf(Box<Expr>, Box<Expr>, Type),
    /// To a type that the operand can be cast to.
    Cast(Box<Expr>, Type),
    /// `->` (false) and `->>` (true), by a text or an integer.
    Json(bool, Box<Expr>, Box<Expr>),
    /// `array[index]`.
    Element(Box<Expr>, Box<Expr>),
    /// `ARRAY[…]` of texts.
    Array(Vec<Expr>),
    /// A function of its arguments alone.
    Call(Function, Vec<Expr>),
}

/// What is known of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// `auth.uid()`, `current_user_id()`.
    UserId,
    /// `auth.role()`.
    Role,
    /// `auth.jwt()`: an object, empty where there is no token.
    Claims,
}

/// A comparison. All but the last two are NULL where an operand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`.
    Eq,
    /// `<>`.
    NotEq,
    /// `<`.
    Less,
    /// `<=`.
    LessEq,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterEq,
    /// `IS DISTINCT FROM`.
    Distinct,
    /// `IS NOT DISTINCT FROM`.
    NotDistinct,
}

impl Comparison {
    /// Whether it asks for an order, and not only for equality.
    pub(super) fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessEq | Self::Greater | Self::GreaterEq)
    }

    /// PostgreSQL's sign for it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::NotEq => "<>",
            Self::Less => "<",
            Self::LessEq => "<=",
            Self::Greater => ">",
            Self::GreaterEq => ">=",
            Self::Distinct => "IS DISTINCT FROM",
            Self::NotDistinct => "IS NOT DISTINCT FROM",
        }
    }
}

/// What `IS` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// `IS NULL`.
    Null,
    /// `IS NOT NULL`.
    NotNull,
    /// `IS TRUE`.
    True,
    /// `IS NOT TRUE`.
    NotTrue,
    /// `IS FALSE`.
    False,
    /// `IS NOT FALSE`.
    NotFalse,
}

impl Test {
    /// The words, alike in all engines.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Null => "IS NULL",
            Self::NotNull => "IS NOT NULL",
            Self::True => "IS TRUE",
            Self::NotTrue => "IS NOT TRUE",
            Self::False => "IS FALSE",
            Self::NotFalse => "IS NOT FALSE",
        }
    }
}

/// A sign of arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`, cut off towards zero.
    Divide,
    /// `%`, with the sign of the dividend.
    Remainder,
}

impl Arithmetic {
    /// The sign.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// A function of its arguments alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `storage.foldername(name)`: the folders of a path.
    Foldername,
    /// `storage.filename(name)`: what follows the last slash.
    Filename,
    /// `storage.extension(name)`: what follows the last dot of the file's name; without a dot, all of it.
    Extension,
    /// `lower`, of ASCII letters.
    Lower,
    /// `upper`, of ASCII letters.
    Upper,
    /// `length`, in characters.
    Length,
    /// `split_part`.
    SplitPart,
    /// `starts_with`.
    StartsWith,
    /// `array_length(…, 1)`.
    ArrayLength,
    /// `cardinality`.
    Cardinality,
    /// `jsonb ? text`: whether it is a key or an element.
    JsonHas,
    /// `jsonb @> jsonb`.
    JsonContains,
}

impl Function {
    /// The types of its arguments.
    pub(super) fn takes(self) -> &'static [Type] {
        match self {
            Self::Foldername | Self::Filename | Self::Extension => &[Type::Text],
            Self::Lower | Self::Upper | Self::Length => &[Type::Text],
            Self::SplitPart => &[Type::Text, Type::Text, Type::Int4],
            Self::StartsWith => &[Type::Text, Type::Text],
            Self::ArrayLength => &[Type::TextArray, Type::Int4],
            Self::Cardinality => &[Type::TextArray],
            Self::JsonHas => &[Type::Jsonb, Type::Text],
            Self::JsonContains => &[Type::Jsonb, Type::Jsonb],
        }
    }

    /// The type of its result.
    pub fn ty(self) -> Type {
        match self {
            Self::Foldername => Type::TextArray,
            Self::Filename | Self::Extension | Self::Lower | Self::Upper | Self::SplitPart => Type::Text,
            Self::Length | Self::ArrayLength | Self::Cardinality => Type::Int4,
            Self::StartsWith | Self::JsonHas | Self::JsonContains => Type::Bool,
        }
    }
}

/// What an expression is made of, by the kind of reference that it is given by.
macro_rules! children {
    ($expr:expr, $iter:ident $(, $mutable:tt)?) => {
        match $expr {
            Self::Literal(..) | Self::Column(_) | Self::Caller(_) | Self::Now => Vec::new(),
            Self::Not(a) | Self::Is(_, a) | Self::Negate(a) | Self::Cast(a, _) => vec![a],
            Self::Compare(_, a, b)
            | Self::Arithmetic(_, a, b, _)
            | Self::Concat(a, b)
            | Self::Like { text: a, pattern: b, .. }
            | Self::AnyOf(a, b)
            | Self::NullIf(a, b, _)
            | Self::Json(_, a, b)
            | Self::Element(a, b) => vec![a, b],
            Self::And(all) | Self::Or(all) | Self::Coalesce(all, _) | Self::Array(all) | Self::Call(_, all) => {
                all.$iter().collect()
            }
            Self::In { value, list, .. } => std::iter::once(&$($mutable)? **value).chain(list).collect(),
            Self::Case(branches, otherwise, _) => branches
                .$iter()
                .flat_map(|(condition, result)| [condition, result])
                .chain(otherwise.$iter().map(|otherwise| &$($mutable)? **otherwise))
                .collect(),
        }
    };
}

impl Expr {
    /// Its type.
    pub fn ty(&self) -> Type {
        match self {
            Self::Literal(_, ty)
            | Self::Arithmetic(.., ty)
            | Self::Case(.., ty)
            | Self::Coalesce(_, ty)
            | Self::NullIf(.., ty)
            | Self::Cast(_, ty) => *ty,
            Self::Column(column) => column.column.ty,
            Self::Caller(Fact::UserId) => Type::Uuid,
            Self::Caller(Fact::Role) => Type::Text,
            Self::Caller(Fact::Claims) => Type::Jsonb,
            Self::Now => Type::Timestamptz,
            Self::Not(_)
            | Self::And(_)
            | Self::Or(_)
            | Self::Compare(..)
            | Self::Is(..)
            | Self::Like { .. }
            | Self::In { .. }
            | Self::AnyOf(..) => Type::Bool,
            Self::Negate(operand) => operand.ty(),
            Self::Concat(..) | Self::Element(..) => Type::Text,
            Self::Json(false, ..) => Type::Jsonb,
            Self::Json(true, ..) => Type::Text,
            Self::Array(_) => Type::TextArray,
            Self::Call(function, _) => function.ty(),
        }
    }

    /// The expressions that it is made of.
    pub fn children(&self) -> Vec<&Self> {
        children!(self, iter)
    }

    /// The expressions that this one is made of, to be changed.
    pub(crate) fn children_mut(&mut self) -> Vec<&mut Self> {
        children!(self, iter_mut, mut)
    }

    /// The columns that it reads, each once, in the order of the scope.
    pub fn columns(&self) -> Vec<ColumnRef> {
        let mut found: Vec<ColumnRef> = Vec::new();
        self.visit(&mut |expr| {
            if let Self::Column(column) = expr
                && !found.contains(column)
            {
                found.push(*column);
            }
        });
        found.sort_by_key(|column| (column.source, column.column.name));
        found
    }

    /// Whether its value may change though the row and the caller stay as they are. A cast to a time is taken for one that does:
    /// PostgreSQL reads `now` and `today` out of a text.
    pub fn follows_the_clock(&self) -> bool {
        let mut follows = false;
        self.visit(&mut |expr| {
            follows |= matches!(expr, Self::Now | Self::Cast(_, Type::Timestamptz));
        });
        follows
    }

    /// Whether its value depends on more rows than one, and on more than the caller and the time beside it.
    pub fn looks_at_others(&self) -> bool {
        let mut looks = false;
        self.visit(&mut |expr| {
            // IMPORTANT: without a default, so that who adds a subquery has to say so here.
            looks |= match expr {
                Self::Column(column) => column.source > 0,
                Self::Literal(..)
                | Self::Caller(_)
                | Self::Now
                | Self::Not(_)
                | Self::And(_)
                | Self::Or(_)
                | Self::Compare(..)
                | Self::Is(..)
                | Self::Arithmetic(..)
                | Self::Negate(_)
                | Self::Concat(..)
                | Self::Like { .. }
                | Self::In { .. }
                | Self::AnyOf(..)
                | Self::Case(..)
                | Self::Coalesce(..)
                | Self::NullIf(..)
                | Self::Cast(..)
                | Self::Json(..)
                | Self::Element(..)
                | Self::Array(_)
                // A function of its arguments alone.
                | Self::Call(..) => false,
            };
        });
        looks
    }

    /// Calls `visit` with every expression in it.
    pub fn visit(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        for child in self.children() {
            child.visit(visit);
        }
    }

    /// How many expressions it is made of.
    pub(super) fn count(&self) -> usize {
        let mut count = 0;
        self.visit(&mut |_| count += 1);
        count
    }
}
