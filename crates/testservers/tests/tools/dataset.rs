//! Data of every kind is written and read back, and every difference is found.

use crate::support::{DEADLINE, form, open_slot};
use redis::{Connection, Value, cmd};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use testservers::{
    Certificates, Cluster, Dataset, Difference, Engine, Options, Servers, What, any_engine, each_engine, engine,
};

#[test]
fn everything_that_every_engine_knows_is_written_and_read_back() {
    each_engine(|engine| {
        let servers = three(engine);
        let cluster = Cluster::of(&servers);
        let dataset = Dataset::generate(7, &Options::all(engine, 700));
        let found = dataset.compare(&cluster);
        let others: Vec<_> = found.iter().filter(|difference| difference.what != What::Missing).collect();
        assert!(others.is_empty() && found.len() == dataset.len(), "{others:?}");
        dataset.write(&cluster);
        dataset.assert_same(&cluster);

        let encodings = encodings(&servers, &dataset);
        for expected in ["int", "embstr", "raw", "quicklist", "intset", "hashtable", "listpack", "skiplist", "stream"] {
            assert!(encodings.contains(expected), "{expected} is not among {encodings:?}");
        }
    });
}

#[test]
fn hyperloglogs_and_places_are_taken_for_what_they_are() {
    let Some(engine) = any_engine() else { return };
    let server = testservers::Server::builder(&engine).start();
    server.call_ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    testservers::wait_until("it serves", DEADLINE, || server.call(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    let kinds = vec![testservers::Kind::HyperLogLog, testservers::Kind::Geo];
    let dataset = Dataset::generate(3, &Options { kinds, odd_keys: false, ..Options::all(&engine, 100) });
    dataset.write(&Cluster::at(&[server.address()]));
    let mut found = BTreeSet::new();
    for (_, key) in dataset.keys() {
        let key = str::from_utf8(key).unwrap();
        if server.call(&["TYPE", key]) == "string" {
            assert!(server.call_ok(&["PFCOUNT", key]).parse::<u64>().unwrap() > 0);
            found.insert("HyperLogLog");
        } else {
            let nearest = ["BYRADIUS", "30000", "km", "ASC", "COUNT", "1", "WITHCOORD"];
            let search = [["GEOSEARCH", key, "FROMLONLAT", "0", "0"].as_slice(), &nearest].concat();
            assert!(!server.call_ok(&search).is_empty());
            found.insert("places");
        }
    }
    assert_eq!(found.len(), 2);
}

#[test]
fn all_databases_are_written_and_compared() {
    let Some(engine) = engine("valkey-9.1") else { return };
    let servers = Servers::start_with(&engine, 2, |builder, _| builder.config("cluster-databases", "4"));
    form(&servers, 2);
    let cluster = Cluster::of(&servers);
    let dataset = Dataset::generate(8, &Options { databases: 3, ..Options::all(&engine, 300) });
    assert_eq!(dataset.len(), 300);
    dataset.write(&cluster);
    dataset.assert_same(&cluster);

    let (mut client, key) = owner_of_any(&servers, &[b"a", b"b", b"c", b"d"]);
    cmd("SELECT").arg(3).exec(&mut client).unwrap();
    cmd("SET").arg(&key).arg(1).exec(&mut client).unwrap();
    let found = dataset.compare(&cluster);
    assert!(matches!(found.as_slice(), [Difference { database: 3, what: What::Extra(_), .. }]), "{found:?}");
}

#[test]
fn passwords_tls_and_proxies_are_no_hindrance() {
    let (Some(engine), certificates) = (any_engine(), Certificates::new()) else { return };
    let (servers, proxies) = Servers::start_behind_proxies(&engine, 3, |builder, _| {
        builder.tls(&certificates).tls_auth_clients(true).password("secret")
    });
    form(&servers, 3);
    let dataset = Dataset::generate(9, &Options::all(&engine, 100));
    dataset.write(&Cluster::of(&servers));
    dataset.assert_same(&Cluster::at(&proxies.addresses()).tls(&certificates).password("secret"));
}

#[test]
fn a_hundred_thousand_small_keys_take_a_few_seconds() {
    let Some(engine) = any_engine() else { return };
    let servers = three(&engine);
    let cluster = Cluster::of(&servers);
    let dataset = Dataset::generate(10, &Options::small(100_000));
    let begin = Instant::now();
    dataset.write(&cluster);
    let written = begin.elapsed();
    dataset.assert_same(&cluster);
    let compared = begin.elapsed().saturating_sub(written);
    eprintln!("100 000 small keys were written in {written:?} and compared in {compared:?}");
    assert!(written < Duration::from_secs(20) && compared < Duration::from_secs(30));
}

#[test]
fn the_seed_decides() {
    let options = Options { hash_field_expiry: true, ..Options::small(100) };
    let places = |seed| format!("{:?}", Dataset::generate(seed, &options));
    assert_eq!(places(1), places(1));
    assert_ne!(places(1), places(2));
}

#[test]
fn every_difference_is_found() {
    each_engine(|engine| {
        let servers = three(engine);
        let cluster = Cluster::of(&servers);
        let options = Options::all(engine, 400);
        let dataset = Dataset::generate(11, &options);
        dataset.write(&cluster);
        let mut damage = Damage::new(&servers, &dataset);
        damage.each("string", |client, key| change(client, "APPEND", key, &["x"]));
        damage.each("string", |client, key| change(client, "DEL", key, &[]));
        damage.each("list", |client, key| change(client, "LPUSH", key, &["x"]));
        damage.each("set", |client, key| change(client, "SADD", key, &["not there before"]));
        damage.each("hash", |client, key| change(client, "HSET", key, &["not there before", "1"]));
        damage.each("zset", |client, key| change(client, "ZADD", key, &["1", "not there before"]));
        damage.each("stream", |client, key| change(client, "XADD", key, &["*", "name", "value"]));
        damage.each("stream", |client, key| change(client, "XTRIM", key, &["MAXLEN", "0"]));
        damage.each("stream", |client, key| {
            cmd("XGROUP").arg("CREATE").arg(key).arg("another").arg(0).query::<Value>(client).is_ok()
        });
        damage.each("stream", |client, key| {
            cmd("XGROUP").arg("DESTROY").arg(key).arg("group 0\r\n").query(client).unwrap_or(false)
        });
        damage.each("set", |client, key| change(client, "PERSIST", key, &[]));
        damage.each("list", |client, key| {
            let has_none: i64 = cmd("PTTL").arg(key).query(client).unwrap();
            has_none == -1 && change(client, "PEXPIREAT", key, &["4102444800001"])
        });
        damage.each("zset", |client, key| change(client, "DEL", key, &[]) && change(client, "SET", key, &["x"]));
        if options.hash_field_expiry {
            damage.each("hash", |client, key| {
                let names: Vec<Vec<u8>> = cmd("HKEYS").arg(key).query(client).unwrap();
                let removed: Vec<i64> =
                    cmd("HPERSIST").arg(key).arg("FIELDS").arg(names.len()).arg(names).query(client).unwrap();
                removed.contains(&1)
            });
        }
        let found: BTreeSet<Vec<u8>> = dataset.compare(&cluster).into_iter().map(|difference| difference.key).collect();
        assert_eq!(found, damage.done);
    });
}

#[test]
fn stray_and_extra_keys_are_found_where_they_are() {
    each_engine(|engine| {
        let servers = three(engine);
        let cluster = Cluster::of(&servers);
        let dataset = Dataset::generate(12, &Options::small(30));
        dataset.write(&cluster);

        let owner = (0..3).find(|i| servers[*i].call(&["SET", "extra", "1"]) == "OK").unwrap();
        let other = &servers[(owner + 1) % 3];
        let slot = other.call_ok(&["CLUSTER", "KEYSLOT", "extra"]);
        open_slot(&slot, &servers[owner], other);
        let mut client = connect(&other.address());
        let mut pipeline = redis::pipe();
        pipeline.cmd("ASKING").cmd("SET").arg("extra").arg("2").exec(&mut client).unwrap();
        for server in [&servers[owner], other] {
            server.call_ok(&["CLUSTER", "SETSLOT", &slot, "STABLE"]);
        }
        let found: Vec<What> = dataset.compare(&cluster).into_iter().map(|difference| difference.what).collect();
        let stray = match engine.name.as_str() {
            "redis-8.6" => What::Hidden { node: other.address(), keys: 1 },
            _ => What::Stray(other.address()),
        };
        let expected = [What::Extra(servers[owner].address()), stray];
        assert!(found.len() == 2 && expected.iter().all(|what| found.contains(what)), "{found:?}");
    });
}

#[test]
#[should_panic(expected = "with seed 13")]
fn a_failed_comparison_says_the_seed() {
    let Some(engine) = any_engine() else { panic!("with seed 13, but no engine") };
    let servers = three(&engine);
    Dataset::generate(13, &Options::small(3)).assert_same(&Cluster::of(&servers));
}

/// Changes keys, each once.
struct Damage<'a> {
    servers: &'a Servers,
    keys: Vec<Vec<u8>>,
    done: BTreeSet<Vec<u8>>,
}

impl<'a> Damage<'a> {
    fn new(servers: &'a Servers, dataset: &Dataset) -> Self {
        let keys = dataset.keys().map(|(_, key)| key.to_vec()).collect();
        Self { servers, keys, done: BTreeSet::new() }
    }

    /// Changes the first key of this type that `change` succeeds with.
    fn each(&mut self, type_name: &str, mut change: impl FnMut(&mut Connection, &[u8]) -> bool) {
        for server in self.servers {
            let mut client = connect(&server.address());
            for key in &self.keys {
                let found: Result<String, _> = cmd("TYPE").arg(key).query(&mut client);
                let is_meant = found.is_ok_and(|found| found == type_name) && !self.done.contains(key);
                if is_meant && change(&mut client, key) {
                    self.done.insert(key.clone());
                    return;
                }
            }
        }
        panic!("no {type_name} can be damaged that way");
    }
}

/// Whether the command changed something.
fn change(client: &mut Connection, command: &str, key: &[u8], arguments: &[&str]) -> bool {
    let reply = cmd(command).arg(key).arg(arguments).query::<Value>(client);
    !matches!(reply.unwrap(), Value::Int(0))
}

fn three(engine: &Engine) -> Servers {
    let servers = Servers::start(engine, 3);
    form(&servers, 3);
    servers
}

fn connect(address: &str) -> Connection {
    redis::Client::open(format!("redis://{address}")).unwrap().get_connection_with_timeout(DEADLINE).unwrap()
}

/// A connection to the owner of one of these keys in database 0, and the key.
fn owner_of_any(servers: &Servers, keys: &[&[u8]]) -> (Connection, Vec<u8>) {
    let mut client = connect(&servers[0].address());
    let key = keys.iter().find(|key| cmd("TYPE").arg(**key).query::<String>(&mut client).is_ok()).unwrap();
    (client, key.to_vec())
}

fn encodings(servers: &Servers, dataset: &Dataset) -> BTreeSet<String> {
    let clients = servers.iter().map(|server| connect(&server.address()));
    let encoding = |client: &mut Connection, key: &[u8]| cmd("OBJECT").arg("ENCODING").arg(key).query(client).ok();
    clients
        .flat_map(|mut client| {
            dataset.keys().filter_map(move |(_, key)| encoding(&mut client, key)).collect::<Vec<_>>()
        })
        .collect()
}
