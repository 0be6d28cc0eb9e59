//! Whatever is let in: what goes behind the gate can be read again, and holds no word but those that are allowed.

use proptest::prelude::*;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::generate::query;
use crate::sql::query::{READABLE, parse, postgres};
use crate::sql::tests::random::Random;

/// Words that renderings are made of.
const WORDS: &str = "select distinct as from join left on true false where group by order desc nulls first last limit \
    offset and or not is null in like ilike escape case when then else end coalesce nullif array any unknown collate \
    count sum min max avg text bigint integer numeric boolean uuid timestamptz interval jsonb now lower upper length \
    split_part starts_with array_length cardinality extract epoch to_json e";

/// Names of ours that stand in quotes.
const NAMES: &[&str] = &["aerostore", "uid", "role", "jwt", "foldername", "filename", "extension", "C"];

fn check(text: &str) -> bool {
    let Ok(query) = parse(text, &[]) else { return false };
    let rendered = postgres(&query, "aerostore", 10);
    let again = Parser::parse_sql(&PostgreSqlDialect {}, &rendered)
        .unwrap_or_else(|error| panic!("{error}: {rendered}"));
    assert_eq!(again.len(), 1, "{text}: {rendered}");
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, &rendered).tokenize().unwrap();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else {
            assert!(!matches!(token, Token::SemiColon | Token::Placeholder(_)), "{text}: {rendered}");
            continue;
        };
        let value = word.value.as_str();
        let numbered = value.strip_prefix(['t', 'c', 'v', 'q', 'd', 'n']);
        let is_alias = numbered.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()));
        let is_column = READABLE.iter().any(|table| table.columns.iter().any(|column| column.name == value));
        let is_table = READABLE.iter().any(|table| table.name == value);
        let allowed = match word.quote_style {
            None => {
                is_alias
                    || NAMES.contains(&value)
                    || WORDS.split_whitespace().any(|known| known.eq_ignore_ascii_case(value))
            }
            Some(_) => is_column || is_table || NAMES.contains(&value),
        };
        assert!(allowed, "{value} in {rendered}");
        // What follows the schema is one of the tables, or a function of ours.
        if value == "aerostore" {
            let Some(Token::Word(next)) = tokens.get(at + 2) else { panic!("{rendered}") };
            let known = READABLE.iter().any(|table| table.name == next.value)
                || NAMES.contains(&next.value.as_str())
                || WORDS.contains(next.value.as_str());
            assert!(known, "{} in {rendered}", next.value);
        }
    }
    true
}

#[test]
fn what_is_let_in_is_made_of_allowed_words() {
    let mut random = Random(11);
    let taken = (0..4000).filter(|_| check(&query(&mut random))).count();
    assert!(taken > 2500, "{taken} of 4000 were let in");
}

/// Pieces that attacks are made of, thrown together.
const PIECES: &[&str] = &[
    "SELECT",
    "*",
    ",",
    "FROM",
    "storage_objects",
    "o",
    "WHERE",
    "(",
    ")",
    "'",
    "''",
    "\"",
    "--",
    "/*",
    "*/",
    ";",
    "UNION",
    "pg_class",
    "sqlite_master",
    "$$",
    "$1",
    "E'",
    "\\",
    "U&'",
    "=",
    "1",
    "path",
    "o.path",
    "AND",
    "true",
    "LIMIT",
    "JOIN",
    "ON",
    "set_config",
    "count(*)",
    "GROUP BY",
    "ORDER BY",
    "INTO",
    "x",
    "::text",
    "||",
    "\n",
    "AS",
    "NULL",
    "IN",
    "[",
    "]",
];

proptest! {
    #[test]
    fn pieces_of_attacks_reach_nothing(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..25)) {
        check(&pieces.join(" "));
        check(&format!("SELECT {}", pieces.concat()));
        check(&format!("SELECT path FROM storage_objects WHERE {}", pieces.join(" ")));
    }

    #[test]
    fn nothing_makes_the_gate_panic(text in "\\PC{0,60}") {
        check(&format!("SELECT {text}"));
        check(&format!("SELECT path FROM storage_objects WHERE path = '{text}'"));
    }

    #[test]
    fn a_mutilated_query_reaches_nothing(seed in any::<u64>(), at in 0_usize..200, piece in prop::sample::select(PIECES)) {
        let mut text = query(&mut Random(seed));
        let at = text.char_indices().map(|(at, _)| at).nth(at).unwrap_or(text.len());
        text.insert_str(at, piece);
        check(&text);
    }
}
