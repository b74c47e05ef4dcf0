//! Users and passwords: who gets in, and what the others are told.

use crate::support::{asked, credentials, plain, trouble, with_password, with_tls};
use node::{ConnectOptions, Connector, TlsOptions};
use operations::port::Trouble;
use testservers::{Server, any_engine, each_engine};

#[test]
fn a_password_is_needed_where_there_is_one_and_has_to_be_right() {
    each_engine(|engine| {
        let password = r#"right "password" \ with ä"#;
        let server = Server::builder(engine).password(password).start();
        let address = server.address();
        assert_eq!(trouble(&plain(), &address), Trouble::PasswordNeeded);
        assert_eq!(trouble(&with_password(None, "wrong"), &address), Trouble::WrongPassword);
        assert_eq!(trouble(&with_password(None, ""), &address), Trouble::WrongPassword);
        asked(&with_password(None, password), &address).unwrap();
        asked(&with_password(Some("default"), password), &address).unwrap();
    });
}

#[test]
fn a_user_of_the_server_s_list_gets_in_with_the_right_password() {
    each_engine(|engine| {
        let server = Server::builder(engine)
            .password("default's")
            .user("alice on >secret ~* &* +@all")
            .user("bob off >secret ~* &* +@all")
            .start();
        let address = server.address();
        asked(&with_password(Some("alice"), "secret"), &address).unwrap();
        for (user, password) in [("alice", "default's"), ("bob", "secret"), ("carol", "secret")] {
            assert_eq!(trouble(&with_password(Some(user), password), &address), Trouble::WrongPassword, "{user}");
        }
    });
}

#[test]
fn a_user_who_may_not_look_at_the_cluster_is_told_what_is_missing() {
    each_engine(|engine| {
        let server = Server::builder(engine).user("alice on >secret ~* &* +@all -cluster").start();
        match trouble(&with_password(Some("alice"), "secret"), &server.address()) {
            Trouble::NotPermitted(line) => assert!(line.contains("cluster|nodes"), "{line}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_password_does_no_harm_where_none_is_needed() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        asked(&with_password(None, "secret"), &server.address()).unwrap();
        asked(&with_password(Some("default"), "secret"), &server.address()).unwrap();
        let unknown = with_password(Some("alice"), "secret");
        assert_eq!(trouble(&unknown, &server.address()), Trouble::WrongPassword);
    });
}

#[test]
fn passwords_are_never_shown() {
    let Some(engine) = any_engine() else { return };
    let secret = "correct-horse-battery";
    let tls = Some(TlsOptions { verification: node::Verification::None, ..TlsOptions::default() });
    let options = ConnectOptions { credentials: credentials(Some("alice"), secret), tls, ..plain() };
    let connector = Connector::new(options.clone()).unwrap();
    let server = Server::builder(&engine).start();
    let refused = trouble(&with_password(Some("alice"), secret), &server.address());
    let shown = [
        format!("{options:?} {options:#?}"),
        format!("{connector:?} {connector:#?}"),
        format!("{:?}", options.credentials),
        format!("{refused} {refused:?}"),
        format!("{:?}", Connector::new(with_tls(TlsOptions::default())).err()),
    ];
    assert!(shown.iter().all(|shown| !shown.contains(secret)), "{shown:?}");
    assert!(shown[0].contains("alice"));
}
