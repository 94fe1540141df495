//! Rows, their versions, and the lists that they appear in.

use tandem_core::{
    credential::{API_TOKENS, ApiToken},
    draft::{DRAFTS, Draft, DraftStatus},
    ports::StoreError,
    record::{Commit, Expect, Put, Write},
    tenant::TenantContext,
};

use crate::lab::*;

fn token(name: &str, hash: &str) -> ApiToken {
    ApiToken {
        token_id: fresh_id(),
        name: name.into(),
        token_hash: hash.into(),
        tenant: local(),
        agent_id: None,
        actor_id: None,
        may_assert_actor: false,
        created_at_ms: 5,
        expires_at_ms: None,
        revoked_at_ms: None,
    }
}

pub async fn a_row_has_one_version_after_another(lab: Lab) {
    let opened = lab.open().await;
    let mut token = token("first", "h1");
    send(&opened, insert(&token)).await;
    for version in 1..4 {
        let row = load::<ApiToken>(&opened, &local().key(), &token.token_id).await.expect("it is there");
        assert_eq!((row.version, &row.value), (version, &token));
        token.name = format!("version {version}");
        send(&opened, commit().put(Put::update(&token, version))).await;
    }
    send(&opened, commit().put(Put::of(&token, Expect::Any))).await;
    let row = load::<ApiToken>(&opened, &local().key(), &token.token_id).await.expect("it is there");
    assert_eq!(row.version, 5);
    assert_eq!(load::<ApiToken>(&opened, &local().key(), "nobody").await, None);
}

pub async fn each_expectation_refuses_what_it_should(lab: Lab) {
    let opened = lab.open().await;
    let there = token("there", "h-there");
    send(&opened, insert(&there)).await;
    let absent = |hash: &str| token("absent", hash);
    let delete = |id: &str, expect| Write::Delete { collection: &API_TOKENS, id: id.into(), expect };
    let id = there.token_id.as_str();
    let cases: [(&str, Write, bool); 9] = [
        ("insert over a row", Put::insert(&there).into(), false),
        ("insert", Put::insert(&absent("h-1")).into(), true),
        ("update an old version", Put::update(&there, 7).into(), false),
        ("update what is absent", Put::update(&absent("h-2"), 1).into(), false),
        ("delete an old version", delete(id, Expect::Version(7)), false),
        ("delete, expecting nothing there", delete(id, Expect::Absent), false),
        ("delete what is absent", delete("nobody", Expect::Version(1)), false),
        ("delete whatever is there", delete("nobody", Expect::Any), true),
        ("delete this version", delete(id, Expect::Version(1)), true),
    ];
    for (what, write, applies) in cases {
        let outcome = opened.store().commit(commit().write(write)).await.map(|_| ());
        assert_eq!(outcome, if applies { Ok(()) } else { Err(StoreError::Conflict) }, "{what}");
    }
    assert_eq!(count(&opened, &API_TOKENS, &local()).await, 1);
}

pub async fn a_failing_write_leaves_nothing_of_its_commit(lab: Lab) {
    let opened = lab.open().await;
    let (_, mut draft) = some_draft(&opened).await;
    let size = opened.store().audit_size(&local().key()).await.expect("it answers");
    draft.title = Some("changed".into());
    let commit = audited("test.nothing")
        .put(Put::insert(&token("new", "h-new")))
        .put(Put::update(&draft, 1))
        .write(Write::Signal(Box::new(signal(&local(), "beside", 2_000))))
        .put(Put::update(&token("absent", "h-absent"), 3));
    assert_eq!(refused(&opened, commit).await, StoreError::Conflict);
    assert_eq!(count(&opened, &API_TOKENS, &local()).await, 0);
    assert_eq!(count(&opened, &DRAFTS, &local()).await, 1);
    let row = load::<Draft>(&opened, &local().key(), &draft.draft_id).await.expect("it is there");
    assert_eq!((row.version, row.value.title.as_deref()), (1, Some("It broke")));
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(size));
    assert_eq!(send(&opened, audited("test.next")).await.audit_seq, size + 1);
}

pub async fn one_of_many_racing_updates_wins(lab: Lab) {
    let opened = lab.open().await;
    let token = token("contended", "h");
    send(&opened, insert(&token)).await;
    for version in 1..=10 {
        let racers = (0..8).map(|n| {
            let (opened, mut mine) = (opened.clone(), token.clone());
            mine.name = format!("racer {n}");
            tokio::spawn(
                async move { opened.store().commit(audited("test.race").put(Put::update(&mine, version))).await },
            )
        });
        let mut winners = 0;
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.expect("no panic") {
                Ok(_) => winners += 1,
                Err(error) => assert_eq!(error, StoreError::Conflict),
            }
        }
        assert_eq!(winners, 1, "version {version}");
    }
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(10), "losers leave no audit row");
}

pub async fn tenants_do_not_see_each_other(lab: Lab) {
    let opened = lab.open().await;
    let (acme, other) = (TenantContext::explicit("acme", "one"), TenantContext::explicit("acme", "two"));
    let token = token("shared id", "h-acme");
    send(&opened, Commit::new(&context(&acme, 1)).put(Put::insert(&token))).await;
    assert_eq!(load::<ApiToken>(&opened, &other.key(), &token.token_id).await, None);
    assert_eq!(count(&opened, &API_TOKENS, &other).await, 0);
    let theirs = Commit::new(&context(&other, 1)).put(Put::update(&token, 1));
    assert_eq!(refused(&opened, theirs).await, StoreError::Conflict);
    let mut copy = token.clone();
    copy.token_hash = "h-other".into();
    send(&opened, Commit::new(&context(&other, 1)).put(Put::insert(&copy))).await;
    let tenants = opened.store().tenants(&API_TOKENS).await.expect("it answers");
    assert_eq!(tenants, [acme.key(), other.key()]);
    assert_eq!(opened.store().tenants(&DRAFTS).await, Ok(Vec::new()));
}

pub async fn pages_walk_every_row_once_even_among_equal_times(lab: Lab) {
    let opened = lab.open().await;
    let (_, sample) = some_draft(&opened).await;
    let mut commit = commit();
    let mut expected = vec![(1_000, sample.draft_id.clone())];
    for n in 0..60 {
        let draft = copy_of(&sample, 2_000 + n % 5);
        expected.push((draft.created_at_ms.cast_signed(), draft.draft_id.clone()));
        commit = commit.put(Put::insert(&draft));
    }
    send(&opened, commit).await;
    expected.sort();
    expected.reverse();
    assert_eq!(walk(&opened, list(&DRAFTS, "created_at_ms")).await, expected);
}

pub async fn pages_filter_and_start_where_told(lab: Lab) {
    let opened = lab.open().await;
    let (_, sample) = some_draft(&opened).await;
    let mut commit = commit();
    for n in 0..40_u64 {
        let mut draft = copy_of(&sample, 2_000 + n);
        draft.project_id = (n % 2 == 0).then(|| "web".to_owned());
        draft.status = if n % 4 == 0 { DraftStatus::Denied } else { DraftStatus::Ready };
        commit = commit.put(Put::insert(&draft));
    }
    send(&opened, commit).await;
    let times = async |equals, since| {
        let query = tandem_core::ports::Query { equals, since, ..list(&DRAFTS, "created_at_ms") };
        walk(&opened, query).await.into_iter().map(|row| row.0 - 2_000).collect::<Vec<_>>()
    };
    let down = |step: usize, from: u32| (from..40).step_by(step).rev().map(i64::from).collect::<Vec<_>>();
    assert_eq!(times(vec![equals("project_id", "web")], None).await, down(2, 0));
    assert_eq!(times(vec![equals("status", "denied")], None).await, down(4, 0));
    assert_eq!(times(vec![equals("status", "denied"), equals("project_id", "web")], Some(2_020)).await, down(4, 20));
    assert_eq!(times(vec![("project_id", tandem_core::record::Column::Null)], Some(2_000)).await, down(2, 1));
    assert_eq!(times(Vec::new(), Some(2_035)).await, down(1, 35));
    assert_eq!(times(vec![equals("project_id", "none")], None).await, Vec::<i64>::new());
    let count = opened.store().count(&DRAFTS, &local().key(), vec![equals("status", "denied")]).await;
    assert_eq!(count, Ok(10));
}

pub async fn the_oldest_come_first_from_the_other_end(lab: Lab) {
    let opened = lab.open().await;
    let (_, sample) = some_draft(&opened).await;
    let mut commit = commit();
    let mut expected = Vec::new();
    for n in 0..40_u64 {
        let mut draft = copy_of(&sample, 2_000 + n % 7);
        draft.project_id = Some(if n % 2 == 0 { "web" } else { "shop" }.to_owned());
        if n % 2 == 0 {
            expected.push((draft.created_at_ms.cast_signed(), draft.draft_id.clone()));
        }
        commit = commit.put(Put::insert(&draft));
    }
    send(&opened, commit).await;
    expected.sort();
    let web = tandem_core::ports::Query { equals: vec![equals("project_id", "web")], ..list(&DRAFTS, "created_at_ms") };
    let from = async |since| {
        let (mut query, mut found) = (tandem_core::ports::Query { since, ..web.clone() }, Vec::new());
        loop {
            let page = opened.store().oldest(query.clone()).await.expect("it answers");
            let Some(last) = page.last() else { return found };
            query.after = Some((last.order, last.row.id.clone()));
            found.extend(page.into_iter().map(|row| (row.order, row.row.id)));
        }
    };
    assert_eq!(from(None).await, expected);
    expected.retain(|(at, _)| *at >= 2_003);
    assert_eq!(from(Some(2_003)).await, expected);
}

pub async fn a_walk_meets_each_row_once_while_rows_change(lab: Lab) {
    let opened = lab.open().await;
    let (_, sample) = some_draft(&opened).await;
    let mut commit = commit();
    let mut drafts: Vec<_> = (0..30_u64).map(|n| copy_of(&sample, 2_000 + n)).collect();
    for draft in &mut drafts {
        draft.project_id = Some("web".to_owned());
        commit = commit.put(Put::insert(draft));
    }
    send(&opened, commit).await;
    let tenant = local().key();
    let mut walk = tandem_core::ports::Walk {
        collection: &DRAFTS,
        tenant: tenant.clone(),
        equals: Some(("project_id", "web".to_owned())),
        order: "updated_at_ms",
        after: String::new(),
        limit: 7,
    };
    let mut met = Vec::new();
    loop {
        let part = opened.store().walk(walk.clone()).await.expect("it answers");
        let Some(last) = part.last() else { break };
        walk.after = last.row.id.clone();
        met.extend(part.into_iter().map(|row| row.row.id));
        // A row at the far end becomes the newest: pages by time would meet it twice or never.
        let moved = drafts.pop().expect("there are enough");
        let version = load::<Draft>(&opened, &tenant, &moved.draft_id).await.expect("it is there").version;
        send(&opened, crate::lab::commit().put(Put::update(&Draft { updated_at_ms: 9_000, ..moved }, version))).await;
    }
    let mut all: Vec<String> = met.clone();
    all.sort();
    all.dedup();
    assert_eq!((met.len(), all.len()), (30, 30));
    walk.equals = Some(("project_id", "none".to_owned()));
    walk.after = String::new();
    assert_eq!(opened.store().walk(walk).await, Ok(Vec::new()));
}

pub async fn a_unique_column_is_a_conflict(lab: Lab) {
    let opened = lab.open().await;
    let (first, mut second) = (token("first", "same"), token("second", "other"));
    send(&opened, insert(&first)).await;
    send(&opened, insert(&second)).await;
    assert_eq!(refused(&opened, insert(&token("third", "same"))).await, StoreError::Conflict);
    second.token_hash = "same".into();
    assert_eq!(refused(&opened, commit().put(Put::update(&second, 1))).await, StoreError::Conflict);
    assert_eq!(refused(&opened, commit().put(Put::of(&second, Expect::Any))).await, StoreError::Conflict);
    send(&opened, audited("test.goes_on")).await;
}

pub async fn reads_see_what_was_answered(lab: Lab) {
    let opened = lab.open().await;
    let writers = (0..8).map(|n| {
        let opened = opened.clone();
        tokio::spawn(async move {
            for m in 0..25 {
                let token = token("mine", &format!("h-{n}-{m}"));
                send(&opened, insert(&token)).await;
                let row = load::<ApiToken>(&opened, &local().key(), &token.token_id).await;
                assert!(row.is_some(), "a row that was answered is read");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("every read saw its write");
    }
    assert_eq!(count(&opened, &API_TOKENS, &local()).await, 200);
}

pub async fn odd_text_is_kept_or_found_the_same_way(lab: Lab) {
    let opened = lab.open().await;
    for (n, name) in ["", "'; DROP TABLE drafts; --", "naïve ☃ \u{10ffff}", "a\0b", "?1 $1 {text}"].iter().enumerate()
    {
        let mut token = token(name, &format!("h-{n}"));
        token.token_id = format!("id {name}");
        send(&opened, insert(&token)).await;
        let row = load::<ApiToken>(&opened, &local().key(), &token.token_id).await.expect("it is found again");
        assert_eq!(row.value.name, *name);
    }
}
