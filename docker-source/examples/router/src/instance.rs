//! Asks for the id of the EC2 instance on which the router runs, for the field `_ec2_instance_id`.
//!
//! The metadata service of the instance has the id. Neither the labels of ECS nor the introspection API of
//! the ECS agent contains it. The service limits the number of network hops of its answers, so an answer does
//! not always reach a container in a separate network. Therefore, each request has a time limit, there are
//! only four attempts, and shipping never waits for the answer.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The address of the metadata service.
pub(crate) const METADATA_SERVICE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);

/// The time limit of a request.
const REQUEST: Duration = Duration::from_secs(2);
/// The maximum number of bytes that are read of an answer. A token has about 60 bytes, and an id has 19.
const ANSWER_MAX: u64 = 4096;
/// The pause before each attempt.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60)];

/// Returns whether to ask for the id: true if a variable shows that the router runs in ECS, and if neither
/// `OFF_AWS` of Logspout nor `AWS_EC2_METADATA_DISABLED` of Amazon's SDKs forbids requests.
pub(crate) fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let is_disabled =
        variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let is_in_ecs = is_set("ECS_CONTAINER_METADATA_URI_V4") || is_set("ECS_CONTAINER_METADATA_URI");
    is_in_ecs && !is_set("OFF_AWS") && !is_disabled
}

/// Asks the service for the id of the instance and stores it in `id`. Gives up after four attempts.
pub(crate) async fn find(service: SocketAddr, id: Arc<OnceLock<String>>) {
    let mut failure = None;
    for pause in PAUSES {
        sleep(pause).await;
        match ask(service).await {
            Ok(answer) => {
                tracing::debug!("the EC2 instance is {answer}");
                // The id is not set yet, since only this task sets it.
                let _ = id.set(answer);
                return;
            }
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        tracing::info!(
            "messages lack _ec2_instance_id: cannot get it from the metadata service of EC2: {error}"
        );
    }
}

/// Asks for the id, with a token if the service supports tokens (IMDSv2), and otherwise without a token.
async fn ask(service: SocketAddr) -> io::Result<String> {
    let token =
        "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\nContent-Length: 0";
    let token = match request(service, token).await {
        Ok(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("\r\nX-aws-ec2-metadata-token: {token}")
        }
        _ => String::new(),
    };
    let id = request(service, &format!("GET /latest/meta-data/instance-id HTTP/1.1{token}")).await?;
    match id.strip_prefix("i-") {
        Some(digits) if (8..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(id)
        }
        _ => Err(io::Error::other("the answer is not the id of an instance")),
    }
}

/// Sends a request and returns the body of the answer.
async fn request(service: SocketAddr, head: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(service).await?;
        let request = format!("{head}\r\nHost: {}\r\nConnection: close\r\n\r\n", service.ip());
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.trim().to_owned()),
            status => Err(io::Error::other(format!("status {}", status.unwrap_or_default().escape_debug()))),
        }
    };
    timeout(REQUEST, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers requests in turn with the given texts, and returns the requests.
    async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 2000];
            let length = stream.read(&mut request).await.unwrap();
            requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        requests
    }

    async fn asked(answers: &[&str]) -> (Result<String, String>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (id, requests) = tokio::join!(ask(address), serve(listener, answers));
        (id.map_err(|error| error.to_string()), requests)
    }

    const ID: &str = "HTTP/1.1 200 OK\r\nServer: EC2ws\r\n\r\ni-0123456789abcdef0";

    #[tokio::test]
    async fn the_id_is_requested_with_a_token_if_the_service_has_tokens_and_otherwise_without() {
        let (id, requests) = asked(&["HTTP/1.1 200 OK\r\n\r\nT0kEn==", ID]).await;
        assert_eq!(id.as_deref(), Ok("i-0123456789abcdef0"));
        assert!(requests[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"), "{requests:?}");
        assert!(requests[1].contains("\r\nX-aws-ec2-metadata-token: T0kEn==\r\n"), "{requests:?}");
        let (id, requests) = asked(&["HTTP/1.1 405 Method Not Allowed\r\n\r\n", ID]).await;
        assert!(id.is_ok() && !requests[1].contains("token"), "{requests:?}");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_id_is_an_error() {
        for answer in [
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            "HTTP/1.1 200 OK\r\n\r\ni-01234567\u{1b}[31m",
            "HTTP/1.1 404 Not Found\r\n\r\ni-0123456789abcdef0",
            "",
        ] {
            let (id, _) = asked(&["", answer]).await;
            assert!(id.is_err(), "{answer:?}");
        }
    }

    #[test]
    fn only_an_agent_in_ecs_asks_and_a_variable_can_forbid_it() {
        let wanted = |set: &[(&str, &str)]| {
            is_wanted(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()))
        };
        let ecs = ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x");
        assert!(wanted(&[ecs]) && !wanted(&[]));
        assert!(!wanted(&[ecs, ("OFF_AWS", "1")]) && !wanted(&[ecs, ("AWS_EC2_METADATA_DISABLED", "true")]));
    }
}
