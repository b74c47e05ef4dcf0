//! The proxy delays exactly, breaks what it is told to, and clusters work through it.

use crate::support::{DEADLINE, form, nodes, open_slot};
use redis::{Commands, Connection, ConnectionLike, RedisError, RedisResult, cmd};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};
use testservers::{
    Cluster, Direction, Latency, Proxy, Server, Servers, StockClient, any_engine, each_engine, wait_until,
};

const HALF_A_MILLISECOND: Duration = Duration::from_micros(500);

#[test]
fn half_a_millisecond_each_way_makes_round_trips_of_one_and_without_delay_they_cost_little() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let (mut straight, mut client) = (connect(server.port()), connect(proxy.port()));
    // A machine that is busy with something else makes both late.
    wait_until("little is added", DEADLINE, || {
        proxy.delay(Duration::ZERO);
        let (direct, through) = (median_ping(&mut straight), median_ping(&mut client));
        proxy.delay(HALF_A_MILLISECOND);
        let delayed = median_ping(&mut client);
        eprintln!("a round trip takes {direct:?} directly, {through:?} through the proxy, {delayed:?} with its delay");
        assert!(delayed >= 2 * HALF_A_MILLISECOND, "{delayed:?}");
        through < direct + Duration::from_micros(300)
            && delayed < direct + 2 * HALF_A_MILLISECOND + Duration::from_micros(400)
    });
}

#[test]
fn a_delay_does_not_throttle() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let delay = Duration::from_millis(100);
    proxy.delay(delay);
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let begin = Instant::now();
    let mut reader = stream.try_clone().unwrap();
    // Each in a segment of its own; one after the other they would take 40 seconds.
    for _ in 0..200 {
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    }
    let mut replies = vec![0; 200 * b"+PONG\r\n".len()];
    reader.read_exact(&mut replies).unwrap();
    let took = begin.elapsed();
    assert!(took >= 2 * delay && took < 5 * delay, "{took:?}");
    assert_eq!(proxy.commands(), 200);
    assert_eq!(proxy.bytes(Direction::ToClient), replies.len() as u64);
    assert_eq!(proxy.bytes(Direction::ToServer), 200 * 14);
}

#[test]
fn large_values_go_through_whole() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    proxy.delay(HALF_A_MILLISECOND);
    let mut client = connect(proxy.port());
    let value: Vec<u8> = (0..20_000_000_u32).map(|i| (i % 251) as u8).collect();
    client.set::<_, _, ()>("large", &value).unwrap();
    assert!(client.get::<_, Vec<u8>>("large").unwrap() == value);
}

#[test]
fn a_cut_resets_every_connection_and_the_next_one_works() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut clients = [connect(proxy.port()), connect(proxy.port())];
    assert_eq!(proxy.open_connections(), 2);
    proxy.cut();
    assert_eq!(proxy.open_connections(), 0);
    for client in &mut clients {
        let error = ping(client).unwrap_err();
        assert!(was_reset(&error), "{error}");
    }
    wait_until("the server knows too", DEADLINE, || server.call(&["INFO", "clients"]).contains("connected_clients:1"));
    ping(&mut connect(proxy.port())).unwrap();
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn a_cut_after_so_many_commands_lets_exactly_these_through_wherever_that_is() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    for limit in [0, 1, 2, 7, 49] {
        server.call_ok(&["SET", "count", "0"]);
        let mut client = connect(proxy.port());
        proxy.cut_after_commands(limit);
        let mut pipeline = redis::pipe();
        for _ in 0..50 {
            pipeline.incr("count", 1);
        }
        pipeline.query::<Vec<redis::Value>>(&mut client).unwrap_err();
        assert_eq!(proxy.open_connections(), 0);
        // The server may still be at it.
        wait_until("these were done", DEADLINE, || server.call(&["GET", "count"]) == limit.to_string());
    }
    assert_eq!(proxy.cuts(), 5);
    ping(&mut connect(proxy.port())).unwrap();
}

#[test]
fn a_cut_after_so_many_bytes_counts_them_in_its_direction() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    for direction in [Direction::ToServer, Direction::ToClient] {
        let mut client = connect(proxy.port());
        let before = proxy.bytes(direction);
        proxy.cut_after_bytes(direction, 1001);
        let error = loop {
            if let Err(error) = ping(&mut client) {
                break error;
            }
        };
        assert!(was_reset(&error), "{error}");
        assert_eq!(proxy.bytes(direction) - before, 1001);
    }
}

#[test]
fn a_proxy_that_refuses_resets_newcomers_only() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let mut client = connect(proxy.port());
    proxy.refuse(true);
    let mut newcomer = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    newcomer.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(!matches!(newcomer.read(&mut [0]), Ok(1..)));
    ping(&mut client).unwrap();
    proxy.refuse(false);
    ping(&mut connect(proxy.port())).unwrap();
}

#[test]
fn a_frozen_proxy_keeps_connections_and_everything_goes_on_afterwards() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let mut client = connect(proxy.port());
    proxy.freeze(true);
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    client.send_packed_command(&cmd("ECHO").arg("late").get_packed_command()).unwrap();
    let before = proxy.bytes(Direction::ToServer);
    assert!(client.recv_response().unwrap_err().is_timeout());
    assert_eq!(proxy.bytes(Direction::ToServer), before);
    assert_eq!(proxy.open_connections(), 1);
    proxy.freeze(false);
    wait_until("it has gone on", DEADLINE, || proxy.bytes(Direction::ToServer) > before);
}

#[test]
fn a_dead_server_resets_its_clients_through_the_proxy() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = connect(proxy.port());
    server.kill();
    assert!(ping(&mut client).is_err());
    wait_until("nothing is open", DEADLINE, || proxy.open_connections() == 0);
    server.restart();
    ping(&mut connect(proxy.port())).unwrap();
}

#[test]
fn clusters_of_every_engine_work_through_proxies_only() {
    each_engine(|engine| {
        let (servers, proxies) = Servers::start_behind_proxies(engine, 4, |builder, _| builder.password("secret"));
        form(&servers, 2);
        for proxy in &proxies {
            assert!(nodes(&servers[0]).contains(&format!(":{}@", proxy.port())), "{}", nodes(&servers[0]));
        }
        assert!(proxies[..2].iter().all(|proxy| proxy.connections() > 0), "replicas come through the proxies");

        let mut client = StockClient::connect(&proxies.addresses()[..1], Some("secret"));
        let before = proxies.iter().map(Proxy::commands).collect::<Vec<_>>();
        client.write(100);
        client.read(100);
        assert!(proxies[..2].iter().zip(&before).all(|(proxy, before)| proxy.commands() > before + 50));

        let key = ["a", "b", "c", "d"].into_iter().find(|key| servers[0].call(&["SET", key, "1"]) == "OK").unwrap();
        let slot = servers[0].call(&["CLUSTER", "KEYSLOT", key]);
        open_slot(&slot, &servers[0], &servers[1]);
        let before = proxies[1].bytes(Direction::ToServer);
        let to = proxies[1].port().to_string();
        servers[0].call_ok(&["MIGRATE", "127.0.0.1", &to, key, "0", "5000", "AUTH", "secret"]);
        assert!(proxies[1].bytes(Direction::ToServer) > before);
    });
}

#[test]
fn tls_goes_through_proxies_too() {
    let (Some(engine), certificates) = (any_engine(), testservers::Certificates::new()) else { return };
    let (servers, proxies) = Servers::start_behind_proxies(&engine, 2, |builder, _| builder.tls(&certificates));
    form(&servers, 2);
    let mut client = StockClient::enter(&Cluster::at(&proxies.addresses()).tls(&certificates));
    client.write(20);
    client.read(20);
    assert!(proxies.iter().all(|proxy| proxy.connections() > 0));
}

#[test]
fn what_a_proxy_delays_the_probe_sees() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    proxy.delays(Duration::from_millis(5), Duration::ZERO);
    let cluster = Cluster::at(&[server.address()]);
    let probe = Latency::start(&cluster, &proxy.address(), Duration::from_millis(10));
    wait_until("there were some round trips", DEADLINE, || proxy.commands() > 30);
    let latencies = probe.stop();
    assert!(latencies.p50() >= Duration::from_millis(5) && latencies.p50() < Duration::from_millis(8), "{latencies}");
}

fn server_and_proxy() -> Option<(Server, Proxy)> {
    let server = Server::builder(&any_engine()?).cluster(false).start();
    let proxy = Proxy::start(server.port());
    Some((server, proxy))
}

fn connect(port: u16) -> Connection {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let connection = client.get_connection_with_timeout(DEADLINE).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection
}

fn ping(client: &mut impl ConnectionLike) -> RedisResult<String> {
    cmd("PING").query(client)
}

fn was_reset(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.is_io_error()
}

fn median_ping(client: &mut Connection) -> Duration {
    let mut took: Vec<Duration> = (0..500)
        .map(|_| {
            let begin = Instant::now();
            ping(client).unwrap();
            begin.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}
