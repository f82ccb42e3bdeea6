//! Pending alert mails: claimed by one server, retried with increasing delays, and given up.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::alert::SecuritySignal;

use super::{Fixture, behaviour, new_key};
use crate::alert::mail::MailOutcome;
use crate::cluster::ProcessRole;
use crate::store::Store;

behaviour! {
    a_mail_is_claimed_once_and_deleted_when_sent,
    a_mail_is_claimed_again_when_its_lease_expires,
    a_mail_is_given_up_after_the_last_attempt,
    a_permanent_failure_gives_a_mail_up_at_once,
    a_result_after_the_claim_expired_does_not_touch_the_next_claim,
}

async fn owing(fixture: &Fixture) -> (Arc<Store>, Arc<Store>, String) {
    let store = fixture.open_with(|options| options.alerts.by_mail = true).await;
    let beside = fixture.open_with(|options| {
        options.alerts.by_mail = true;
        options.role = ProcessRole::Admin;
    });
    let other = beside.await;
    let account = fixture.account(&store).await.id;
    let created = fixture.key(&store, account, new_key("one")).await.0;
    let address = "192.0.2.1".parse().unwrap();
    store.record_security_signal(SecuritySignal::SeenInClear { key: created.record.id, address });
    assert_eq!(store.raise_security_alerts().await.unwrap(), 1);
    (store, other, created.record.secrets[0].mask.as_str().to_owned())
}

async fn a_mail_is_claimed_once_and_deleted_when_sent(fixture: Arc<Fixture>) {
    let (store, other, mask) = owing(&fixture).await;
    let (here, there) = tokio::join!(store.claim_mails(), other.claim_mails());
    let mails = [here.unwrap(), there.unwrap()].concat();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].attempt, mails[0].mask.as_str()), (1, mask.as_str()));
    assert_eq!(mails[0].alert.name, "one");
    store.mail_sent(mails[0].alert.id).await.unwrap();
    fixture.clock.advance(Duration::from_hours(48));
    assert!(store.claim_mails().await.unwrap().is_empty());
    store.close().await;
    other.close().await;
}

async fn a_mail_is_claimed_again_when_its_lease_expires(fixture: Arc<Fixture>) {
    let (store, other, _) = owing(&fixture).await;
    assert_eq!(store.claim_mails().await.unwrap().len(), 1);
    store.close().await;
    assert!(other.claim_mails().await.unwrap().is_empty());
    fixture.clock.advance(Duration::from_mins(5));
    let again = other.claim_mails().await.unwrap();
    assert_eq!((again.len(), again[0].attempt), (1, 2));
    other.close().await;
}

async fn a_mail_is_given_up_after_the_last_attempt(fixture: Arc<Fixture>) {
    let (store, other, _) = owing(&fixture).await;
    let mut tries = 0;
    let mut waited = Duration::ZERO;
    loop {
        let mails = store.claim_mails().await.unwrap();
        if let Some(mail) = mails.first() {
            tries += 1;
            assert_eq!(mail.attempt, tries);
            match store.mail_failed(mail.alert.id, mail.attempt, false).await.unwrap() {
                MailOutcome::WillRetry => {}
                MailOutcome::GivenUp => break,
            }
        }
        assert!(waited < Duration::from_hours(100), "it is never given up");
        waited += Duration::from_mins(1);
        fixture.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(tries, 9);
    assert!(waited > Duration::from_hours(46), "{waited:?} is too short for a mail server's weekend");
    fixture.clock.advance(Duration::from_hours(100));
    assert!(store.claim_mails().await.unwrap().is_empty());
    store.close().await;
    other.close().await;
}

async fn a_permanent_failure_gives_a_mail_up_at_once(fixture: Arc<Fixture>) {
    let (store, other, _) = owing(&fixture).await;
    let mail = store.claim_mails().await.unwrap().remove(0);
    assert_eq!(store.mail_failed(mail.alert.id, mail.attempt, true).await.unwrap(), MailOutcome::GivenUp);
    fixture.clock.advance(Duration::from_hours(100));
    assert!(other.claim_mails().await.unwrap().is_empty());
    store.close().await;
    other.close().await;
}

async fn a_result_after_the_claim_expired_does_not_touch_the_next_claim(fixture: Arc<Fixture>) {
    let (store, other, _) = owing(&fixture).await;
    let late = store.claim_mails().await.unwrap().remove(0);
    fixture.clock.advance(Duration::from_mins(5));
    let current = other.claim_mails().await.unwrap().remove(0);
    assert_eq!((late.attempt, current.attempt), (1, 2));
    store.mail_failed(late.alert.id, late.attempt, true).await.unwrap();
    store.mail_failed(late.alert.id, late.attempt, false).await.unwrap();
    fixture.clock.advance(Duration::from_mins(2));
    assert!(store.claim_mails().await.unwrap().is_empty(), "the other server is sending it");
    other.mail_failed(current.alert.id, current.attempt, false).await.unwrap();
    fixture.clock.advance(Duration::from_mins(5));
    assert_eq!(store.claim_mails().await.unwrap()[0].attempt, 3);
    store.close().await;
    other.close().await;
}
