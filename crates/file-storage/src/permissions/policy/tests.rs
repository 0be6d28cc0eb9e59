//! Statements that are taken, and those that are not.

use super::{Command, Policy, PolicyStatement};

#[test]
fn statements_are_read_as_postgresql_reads_them() {
    let policy = Policy::parse(
        "CREATE POLICY \"Own folder 1oj01fe_0\" ON storage.objects AS RESTRICTIVE FOR UPDATE TO anon, authenticated\n\
         USING (bucket_id = 'avatars') WITH CHECK (size < 10);",
    )
    .unwrap();
    assert_eq!(&*policy.name, "Own folder 1oj01fe_0");
    assert_eq!((policy.command, policy.permissive), (Command::Update, false));
    assert_eq!(policy.roles(), ["anon", "authenticated"]);
    assert!(policy.using.is_some() && policy.check.is_some());
    assert_eq!(
        policy.for_postgres("aerostore"),
        "CREATE POLICY \"Own folder 1oj01fe_0\" ON \"aerostore\".storage_objects AS RESTRICTIVE FOR UPDATE \
         TO anon, authenticated USING ((\"bucket_id\" = 'avatars'::text)) WITH CHECK ((\"size\" < '10'::bigint))"
    );

    let all = Policy::parse("create policy Mine on storage_objects using (owner = auth.uid())").unwrap();
    assert_eq!((&*all.name, all.command, all.permissive), ("mine", Command::All, true));
    assert_eq!(all.roles(), ["anon", "authenticated"], "TO public goes without saying");

    let drop = PolicyStatement::parse("DROP POLICY IF EXISTS \"Mine\" ON objects;").unwrap();
    assert_eq!(drop, PolicyStatement::Drop { name: "Mine".into(), if_exists: true });
}

#[test]
fn other_statements_are_refused_with_their_place() {
    let check = |sql: &str, at: Option<(u64, u64)>, reason: &str| {
        let fault = PolicyStatement::parse(sql).unwrap_err();
        assert_eq!(fault.position.map(|position| (position.line, position.column)), at, "{sql}: {fault}");
        assert!(fault.to_string().contains(reason), "{sql}: {fault}");
    };
    let create = "CREATE POLICY p ON storage_objects";
    check("SELECT 1", Some((1, 1)), "neither");
    check("DROP TABLE storage_objects", Some((1, 1)), "neither");
    check("", Some((1, 1)), "neither");
    check(&format!("{create} USING (true); SELECT 1"), Some((1, 50)), "unexpected");
    check(&format!("{create} USING (true);\nDROP POLICY p ON objects"), Some((2, 1)), "unexpected");
    check("CREATE POLICY p ON storage_buckets USING (true)", Some((1, 20)), "storage_objects");
    check("CREATE POLICY p ON pg_catalog.pg_class USING (true)", Some((1, 20)), "storage_objects");
    check(&format!("{create} TO service_role USING (true)"), Some((1, 39)), "never subject");
    check(&format!("{create} TO postgres USING (true)"), Some((1, 39)), "postgres is not known");
    check(&format!("{create} FOR SELECT WITH CHECK (true)"), Some((1, 59)), "WITH CHECK");
    check(&format!("{create} FOR INSERT USING (size > 1)"), Some((1, 54)), "USING");
    check(create, Some((1, 15)), "no condition");
    check(&format!("{create} USING (size)"), Some((1, 43)), "boolean");
    check(&format!("{create} USING (EXISTS (SELECT 1 FROM storage_objects))"), Some((1, 51)), "subquery");
    check("CREATE POLICY \"\" ON objects USING (true)", Some((1, 15)), "name");
    check("CREATE POLICY \"~aerostore_keeper\" ON objects USING (true)", Some((1, 15)), "server's own");
    check(&format!("CREATE POLICY {} ON objects USING (true)", "x".repeat(64)), Some((1, 15)), "name");
}

/// The policies of Supabase's own documentation, as they are pasted.
pub(crate) const SUPABASE: &[&str] = &[
    "create policy \"Allow authenticated uploads\" on storage.objects for insert to authenticated with check ( bucket_id = 'my_bucket_id' )",
    "create policy \"Individual user Access\" on storage.objects for select to authenticated using ( (select auth.uid()) = owner_id::uuid )",
    "create policy \"User can delete their own objects\" on storage.objects for delete to authenticated using ( owner_id = (select auth.uid()::text) )",
    "create policy \"Give users access to own folder\" on storage.objects for select to public using (bucket_id = 'avatars' AND auth.role() = 'authenticated' AND (storage.foldername(name))[1] = (select auth.uid()::text))",
    "CREATE POLICY \"Give users authenticated access to folder\" ON storage.objects FOR SELECT TO public USING (bucket_id = 'avatars' AND (storage.foldername(name))[1] = 'private' AND auth.role() = 'authenticated')",
    "CREATE POLICY \"Give anon users access to JPG images in folder\" ON storage.objects FOR SELECT TO public USING (bucket_id = 'avatars' AND storage.\"extension\"(name) = 'jpg' AND LOWER((storage.foldername(name))[1]) = 'public' AND auth.role() = 'anon')",
    "CREATE POLICY \"Give access to a folder to user\" ON storage.objects FOR SELECT TO public USING (bucket_id = 'avatars' AND (storage.foldername(name))[1] = 'admin' AND (storage.foldername(name))[2] = 'assets' AND (select auth.uid()::text) = 'd7bed83c-44a0-4a4f-925f-efc384ea1e50')",
    "CREATE POLICY \"Give access to a file to user\" ON storage.objects FOR SELECT TO public USING (bucket_id = 'avatars' AND name = 'admin/assets/Costa Rican Frog.jpg' AND (select auth.uid()::text) = 'd7bed83c-44a0-4a4f-925f-efc384ea1e50')",
    "create policy \"Restrict uploads to one folder\" on storage.objects for insert to authenticated with check ( bucket_id = 'my_bucket_id' and (storage.foldername(name))[1] = 'private' )",
    "create policy \"Allow authenticated uploads of own\" on storage.objects for insert to authenticated with check ( bucket_id = 'my_bucket_id' and (storage.foldername(name))[1] = (select auth.uid()::text) )",
    "CREATE POLICY \"team by claim\" ON storage.objects FOR ALL TO authenticated USING ((storage.foldername(name))[1] = (auth.jwt() -> 'app_metadata' ->> 'team'))",
    "CREATE POLICY \"no upload of big or foreign types\" ON storage.objects AS RESTRICTIVE FOR INSERT WITH CHECK (size < 1024 * 1024 AND content_type ILIKE 'image/%' AND created_at > now() - interval '1 day')",
];

#[test]
fn what_supabase_users_have_is_taken_unchanged() {
    for sql in SUPABASE {
        let policy = Policy::parse(sql).unwrap_or_else(|fault| panic!("{sql}\n{fault}"));
        assert_eq!(&*policy.definition, *sql);
    }
}
