//! Random queries that PostgreSQL would take, as text.

use crate::sql::tests::random::Random;

/// What a FROM brings: its text, and columns by type.
struct From {
    text: &'static str,
    texts: &'static [&'static str],
    numbers: &'static [&'static str],
    times: &'static [&'static str],
    ids: &'static [&'static str],
    others: &'static [&'static str],
}

const FROMS: &[From] = &[
    From {
        text: "storage_objects",
        texts: &["bucket_id", "path", "content_type", "cache_control", "etag", "metadata ->> 'team'"],
        numbers: &["size", "length(path)", "size % 7", "size + 1"],
        times: &["created_at", "updated_at", "created_at - interval '36 hours'"],
        ids: &["id", "owner_id", "version"],
        others: &["metadata", "metadata -> 'n'", "storage.foldername(path)"],
    },
    From {
        text: "storage_objects o JOIN storage_buckets b ON b.id = o.bucket_id",
        texts: &["o.path", "b.policy", "b.id", "o.cache_control", "split_part(o.path, '/', 1)"],
        numbers: &["o.size", "b.quota_bytes", "b.file_count", "b.max_file_size - o.size"],
        times: &["o.created_at", "b.created_at"],
        ids: &["o.id", "o.owner_id", "b.owner_id"],
        others: &["b.allowed_mime_types", "o.metadata"],
    },
    From {
        text: "storage_buckets b LEFT JOIN storage_objects o ON o.bucket_id = b.id AND o.size > 100",
        texts: &["o.path", "b.policy", "b.id", "lower(o.content_type)"],
        numbers: &["o.size", "b.quota_bytes", "length(b.id)"],
        times: &["o.created_at", "b.created_at"],
        ids: &["o.id", "b.owner_id"],
        others: &["b.allowed_mime_types", "o.metadata"],
    },
    From {
        text: "storage_usage u LEFT JOIN storage_objects AS x ON x.owner_id = u.user_id, storage_buckets",
        texts: &["x.path", "policy", "storage_buckets.id"],
        numbers: &["u.total_bytes", "x.size", "u.quota_bytes"],
        times: &["u.created_at", "last_calculated_at"],
        ids: &["u.user_id", "x.owner_id"],
        others: &["allowed_mime_types"],
    },
    From {
        text: "upload_queue",
        texts: &["status", "file_name"],
        numbers: &["file_size_bytes", "attempt_count"],
        times: &["queued_at", "started_at"],
        ids: &["id"],
        others: &[],
    },
];

/// One query, whose answer depends on nothing but rows and caller.
pub(crate) fn query(random: &mut Random) -> String {
    let from = &FROMS[random.below(FROMS.len())];
    let gathers = random.chance(2);
    let mut outputs = Vec::new();
    let mut groups = Vec::new();
    if gathers {
        for _ in 0..random.below(3) {
            let key = native(from, random);
            outputs.push(if random.chance(3) { format!("coalesce({key}, NULL)") } else { key.clone() });
            groups.push(key);
        }
        for _ in 0..1 + random.below(3) {
            outputs.push(aggregate(from, random));
        }
    } else {
        for _ in 0..1 + random.below(4) {
            outputs.push(match random.below(6) {
                0 if !from.others.is_empty() => random.one(from.others).to_owned(),
                1 => condition(from, random),
                _ => native(from, random),
            });
        }
    }
    let distinct = random.chance(4);
    let list: Vec<_> = outputs.iter().enumerate().map(|(at, output)| format!("{output} AS x{at}")).collect();
    let mut text =
        format!("SELECT {}{} FROM {}", if distinct { "DISTINCT " } else { "" }, list.join(", "), from.text);
    if !random.chance(3) {
        text += &format!(" WHERE {}", condition(from, random));
    }
    if !groups.is_empty() {
        text += &format!(" GROUP BY {}", groups.join(", "));
    }
    if gathers && random.chance(3) {
        let number = random.one(&["1", "100", "2.5"]);
        text += &format!(
            " HAVING {} {} {number}",
            numeric_aggregate(from, random),
            random.one(&["<", ">", "<>", ">="])
        );
    }
    if !random.chance(4) {
        let keys: Vec<_> = (0..1 + random.below(2))
            .map(|_| order(outputs.len(), from, gathers || distinct, random))
            .collect();
        text += &format!(" ORDER BY {}", keys.join(", "));
    }
    if random.chance(3) {
        text += &format!(" LIMIT {}", random.below(12));
    }
    if random.chance(4) {
        text += &format!(" OFFSET {}", random.below(4));
    }
    text
}

fn order(outputs: usize, from: &From, shown_only: bool, random: &mut Random) -> String {
    let key = match random.below(3) {
        0 => (1 + random.below(outputs)).to_string(),
        1 if !shown_only => native(from, random),
        _ => format!("x{}", random.below(outputs)),
    };
    format!(
        "{key}{}{}",
        random.one(&["", " ASC", " DESC"]),
        random.one(&["", "", " NULLS FIRST", " NULLS LAST"])
    )
}

fn native(from: &From, random: &mut Random) -> String {
    let text = match random.below(8) {
        0..=2 => random.one(from.texts),
        3..=5 => random.one(from.numbers),
        6 => random.one(from.times),
        _ => random.one(from.ids),
    };
    match random.below(8) {
        0 if from.texts.contains(&text) => format!("({text}) || '-'"),
        1 if from.numbers.contains(&text) => format!("({text}) - 3"),
        _ => text.to_owned(),
    }
}

fn aggregate(from: &From, random: &mut Random) -> String {
    match random.below(8) {
        0 => "count(*)".to_owned(),
        1 => format!("count(DISTINCT {})", native(from, random)),
        2 => format!("count({})", native(from, random)),
        3 => format!("{}({})", random.one(&["min", "max"]), random.one(from.texts)),
        4 => format!("{}({})", random.one(&["min", "max"]), random.one(from.times)),
        5 => format!("coalesce(sum({}), 0)", random.one(from.numbers)),
        _ => numeric_aggregate(from, random),
    }
}

fn numeric_aggregate(from: &From, random: &mut Random) -> String {
    let distinct = random.one(&["", "", "", "DISTINCT "]);
    format!("{}({distinct}{})", random.one(&["sum", "avg", "min", "max", "count"]), random.one(from.numbers))
}

fn condition(from: &From, random: &mut Random) -> String {
    let sign = random.one(&["=", "<>", "<", ">=", "IS DISTINCT FROM"]);
    match random.below(9) {
        0 => format!(
            "({}) {sign} {}",
            random.one(from.numbers),
            random.one(&["0", "100", "1000000", "-1", "1.5"])
        ),
        1 => {
            format!("({}) {sign} {}", random.one(from.texts), random.one(&["'a'", "'avatars'", "'É'", "''"]))
        }
        2 => format!(
            "({}) {}LIKE '{}'",
            random.one(from.texts),
            random.one(&["", "I", "NOT "]),
            random.one(&["%a%", "_", "%.png"])
        ),
        3 => format!("({}) IS {}NULL", native(from, random), random.one(&["", "NOT "])),
        4 => format!("{} = current_user_id()", random.one(from.ids)),
        5 => format!("{} > '2026-01-02T00:00:00Z'", random.one(from.times)),
        6 => format!("({} AND {})", condition(from, random), condition(from, random)),
        7 => format!("({} OR {})", condition(from, random), condition(from, random)),
        _ => format!("({}) IN ('public', 'a', 'b/c.png', NULL)", random.one(from.texts)),
    }
}
