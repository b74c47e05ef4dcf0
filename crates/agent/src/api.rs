//! Answering others over HTTP: whether all is well, metrics, and, for who knows the token, the member and what happens to it.

mod reply;

use crate::{call, events, launch, metrics, shared::Shared};
use hyper::{
    Method, Request, StatusCode, body::Incoming, header::AUTHORIZATION, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use reply::Reply;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{interval, sleep},
};

/// No more connections are open at once.
const CONNECTIONS: usize = 256;
/// How long a client may take to say what it wants.
const HEADERS: Duration = Duration::from_secs(5);
/// Time between two tries to get the port.
const AGAIN: Duration = Duration::from_secs(1);
/// Streams get a sign of life this often.
const BREATH: Duration = Duration::from_secs(10);
/// The format that Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers at this address for as long as it is polled. A port that is taken is tried again: the server matters more.
pub(crate) async fn serve(shared: Arc<Shared>, address: SocketAddr) {
    let listener = listen(address).await;
    let open = Arc::new(Semaphore::new(CONNECTIONS));
    let mut breath = interval(BREATH);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &open) => accepted,
            _ = breath.tick() => {
                shared.watchers.breathe();
                continue;
            }
        };
        let Some((stream, permit)) = accepted else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADERS);
            // Who goes away in the middle of an answer does not want it.
            http.serve_connection(TokioIo::new(stream), answer).await.ok();
            drop(permit);
        });
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !told => {
                told = true;
                events::tell(format_args!(
                    "nobody is answered on {address} yet: {error}; it is tried again every second"
                ));
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    open: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(open).acquire_owned().await.ok()?;
    if let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        return Some((stream, permit));
    }
    // Out of descriptors, as a rule: some are closed in a while.
    sleep(AGAIN).await;
    None
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> hyper::Response<Reply> {
    let path = request.uri().path().to_owned();
    // Before anything is told of what there is.
    let secret = path.starts_with("/v1/");
    if secret && !shared.token.as_ref().is_some_and(|token| token.is_in(request.headers().get(AUTHORIZATION))) {
        return reply::unauthorized();
    }
    if request.method() == Method::PUT && path == "/v1/launch" {
        return take(shared, request.into_body()).await;
    }
    if request.method() != Method::GET {
        return reply::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered, and PUT of /v1/launch\n");
    }
    match path.as_str() {
        "/livez" => reply::text(StatusCode::OK, "ok\n"),
        "/readyz" => match shared.why_not_ready() {
            None => reply::text(StatusCode::OK, "ready\n"),
            Some(why) => reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        "/metrics" => reply::of_type(StatusCode::OK, OPENMETRICS, metrics::text(shared)),
        "/v1/member" => reply::json(&shared.fresh_account().await),
        "/v1/watch" => reply::lines(shared.watch()),
        _ => reply::text(StatusCode::NOT_FOUND, "there is no such page\n"),
    }
}

/// Has the server take what it is to run with.
async fn take(shared: &Shared, mut body: Incoming) -> hyper::Response<Reply> {
    let wanted = match call::read_json(&mut body).await {
        Ok(wanted) => wanted,
        Err(error) => return reply::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match launch::take(shared, wanted).await {
        Ok(running) => reply::json(&running),
        Err(error) => reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}
