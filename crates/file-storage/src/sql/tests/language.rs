//! What is taken, what is refused, and where.

use proptest::prelude::*;

use crate::sql::{
    Expr, MAX_TEXT, Names, OBJECTS, Postgres, Scope, Type, expression, quote_postgres, quote_sqlite,
};

fn parse(text: &str) -> Result<Expr, crate::sql::SqlFault> {
    expression(text, &Scope::of(&OBJECTS))
}

/// The text in which expressions are kept.
fn shown(expr: &Expr) -> String {
    Postgres { names: Names::Public, column: None }.render(expr)
}

#[test]
fn expressions_are_kept_typed_and_folded() {
    let check = |text: &str, kept: &str| assert_eq!(shown(&parse(text).unwrap()), kept, "{text}");
    check("name = 'a'", r#"("path" = 'a'::text)"#);
    check("owner = (select auth.uid())", r#"("owner_id" = auth.uid())"#);
    check("storage_objects.size > 5*2", r#"("size" > '10'::bigint)"#);
    check("objects.NAME LIKE 'a%'", r#"("path" LIKE 'a%'::text)"#);
    check("owner_id = auth.uid()::text", r#"(("owner_id"::text) = (auth.uid()::text))"#);
    check("true AND size > 0", r#"("size" > '0'::bigint)"#);
    check("size > 0 OR true", "true");
    check("size = NULL", "NULL::boolean");
    check("created_at > '2026-01-31'", r#"("created_at" > '2026-01-31T00:00:00.000000+00:00'::timestamptz)"#);
    check(
        "now() - interval '1 day' < created_at",
        r#"((now() - '24:00:00.000000'::interval) < "created_at")"#,
    );
    check("size NOT BETWEEN 1 AND 2", r#"(("size" < '1'::bigint) OR ("size" > '2'::bigint))"#);
    check("name IN ('a')", r#"("path" = 'a'::text)"#);
    check(
        "name IN ('a', content_type, 'b')",
        r#"(("path" IN ('a'::text, 'b'::text)) OR ("path" = "content_type"))"#,
    );
    check("'a' IN ('a', name, 'b')", "true");
    check("NULL::text NOT IN ('a', name, 'b')", "NULL::boolean");
    check("1 - 2 - 3 = size", r#"('-4'::bigint = "size")"#);
    check("a.path = 'x' IS NULL".trim_start_matches("a."), r#"(("path" = 'x'::text) IS NULL)"#);
    check("E'a\\'b' = path", r#"('a''b'::text = "path")"#);
}

#[test]
fn where_only_truth_counts_null_is_false() {
    let check = |condition: &str, kept: &str| {
        let text = format!("CREATE POLICY p ON storage_objects FOR SELECT USING ({condition})");
        let policy = crate::permissions::Policy::parse(&text).unwrap();
        assert_eq!(shown(policy.using.as_ref().unwrap()), kept, "{condition}");
    };
    check("size > NULL AND name::bigint > 0", "false");
    check("size > NULL OR name = 'a'", r#"("path" = 'a'::text)"#);
    check("name = 'a' OR (size BETWEEN NULL AND 5 AND name::bigint > 0)", r#"("path" = 'a'::text)"#);
    check("NOT (size > NULL AND name = 'a')", r#"(NOT (NULL::boolean AND ("path" = 'a'::text)))"#);
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    let check = |text: &str, at: (u64, u64), reason: &str| {
        let fault = parse(text).unwrap_err();
        let position = fault.position.unwrap();
        assert_eq!((position.line, position.column), at, "{text}: {fault}");
        assert!(fault.to_string().contains(reason), "{text}: {fault}");
    };
    check("nam = 'a'", (1, 1), "column \"nam\" does not exist");
    check("size > 1\n AND pg_sleep(1) IS NULL", (2, 6), "pg_sleep");
    check("name ~ 'x'", (1, 1), "regular expressions");
    check("size = 'abc'", (1, 1), "invalid input syntax for type bigint");
    check("name > 5", (1, 1), "operator does not exist: text > integer");
    check("exists (select 1 from storage_buckets)", (1, 9), "subquery");
    check("name = (select path from storage_objects)", (1, 1), "subquery");
    check("size = 1; drop table storage_objects", (1, 9), "one statement at a time");
    check("2147483647 + 1 = size", (1, 1), "integer out of range");
    check("size / 0 = 1 OR 1 / 0 = 1", (1, 17), "division by zero");
    check("(auth.jwt() ->> 'a') ->> 'b' = 'c'", (1, 1), "->>");
    check("(auth.jwt() ->> 'a') ? 'b'", (1, 1), "go there by ->");
    check("auth.jwt() @> 1", (1, 1), "operator does not exist: jsonb @> integer");
    check("auth.jwt() @> '{'", (1, 1), "json");
    check("name COLLATE \"C\" = 'a'", (1, 1), "COLLATE");
    check("created_at > now() - interval '1 month'", (1, 14), "months");
    check("other.name = 'a'", (1, 7), "does not exist");
    check("count(*) > 1", (1, 1), "");
    check("$1 = name", (1, 1), "no parameter");
    check("'unclosed", (1, 1), "");
}

#[test]
fn texts_are_bounded_before_they_are_read() {
    let deep = format!("{}true{}", "(".repeat(2000), ")".repeat(2000));
    let long = format!("name = '{}'", "x".repeat(MAX_TEXT));
    let wide = vec!["size = 1"; 300].join(" OR ");
    let chain = format!("size = {}", vec!["1"; 900].join(" + "));
    let casts = format!("name{} = 'a'", "::text".repeat(400));
    let nots = format!("{}true", "NOT ".repeat(900));
    let cases = format!("{} 1 = 1", "CASE WHEN ".repeat(200));
    let doubling = format!("{}size{}", "(".repeat(30), " BETWEEN 1 AND 2) IS NULL".repeat(30));
    for text in [deep, long, chain, casts, nots, cases, doubling] {
        parse(&text).unwrap_err();
    }
    parse(&wide).unwrap();
}

#[test]
fn types_are_postgresqls() {
    let check = |text: &str, ty: Type| assert_eq!(parse(text).unwrap().ty(), ty, "{text}");
    check("size", Type::Int8);
    check("length(name) + 1", Type::Int4);
    check("length(name) + size", Type::Int8);
    check("1.5 * size", Type::Numeric);
    check("'a'", Type::Text);
    check("metadata -> 'a'", Type::Jsonb);
    check("metadata ->> 'a'", Type::Text);
    check("auth.jwt() -> 'teams' ? 'red'", Type::Bool);
    check("auth.jwt() -> 'teams' @> '[\"red\"]'", Type::Bool);
    check("storage.foldername(name)", Type::TextArray);
    check("created_at - updated_at", Type::Interval);
    check("coalesce(null, 1, size)", Type::Int8);
}

#[test]
fn kept_texts_read_as_what_they_were() {
    let mut random = super::random::Random(7);
    for _ in 0..3000 {
        let text = super::oracle::generate::Generator { random: &mut random }.boolean(3);
        let Ok(expr) = parse(&text) else { continue };
        let again = parse(&shown(&expr)).unwrap_or_else(|fault| panic!("{text}\n{}\n{fault}", shown(&expr)));
        assert_eq!(shown(&again), shown(&expr), "{text}");
        assert_eq!(again.columns(), expr.columns());
    }
}

proptest! {
    #[test]
    fn nothing_makes_the_parser_panic(text in "\\PC{0,80}") {
        let _outcome = parse(&text);
    }

    #[test]
    fn sqlite_reads_a_literal_as_the_text_it_is(text in "[^\0]{0,30}") {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        let read: String = conn.query_row(&format!("SELECT {}", quote_sqlite(&text)), [], |row| row.get(0)).unwrap();
        prop_assert_eq!(read, text);
    }

    #[test]
    fn a_literal_of_postgresqls_reads_as_the_text_it_is(text in "[^\0]{0,30}") {
        let literal = format!("{} = name", quote_postgres(&text));
        let expr = parse(&literal).unwrap();
        let expected = format!("({}::text = \"path\")", quote_postgres(&text));
        prop_assert_eq!(shown(&expr), expected);
    }
}
