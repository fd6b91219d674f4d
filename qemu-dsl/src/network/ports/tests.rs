use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A relay to a server of this test's, which gets each of its connections, its port, and the directory of its socket.
fn relayed(serve: impl Fn(UnixStream) + Send + Sync + Clone + 'static) -> (Ports, u16, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = UnixListener::bind(dir.path().join("s")).unwrap();
    std::thread::spawn(move || {
        for client in server.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(client));
        }
    });
    let listener = listen(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let ports = Ports::start(vec![Port { listener, to: dir.path().join("s") }]).unwrap();
    (ports, port, dir)
}

fn client(port: u16) -> TcpStream {
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client
}

fn echo(mut guest: UnixStream) {
    let mut other = guest.try_clone().unwrap();
    let _ = io::copy(&mut guest, &mut other);
    let _ = guest.shutdown(Shutdown::Write);
}

/// Asks an echo, and expects it.
fn talks(client: &mut TcpStream) -> bool {
    let mut answer = [0; 2];
    client.write_all(b"hi").is_ok() && client.read_exact(&mut answer).is_ok() && answer == *b"hi"
}

#[test]
fn half_a_connection_goes_on() {
    // It answers only when all has come.
    let (_ports, port, _dir) = relayed(|mut guest| {
        let mut all = Vec::new();
        guest.read_to_end(&mut all).unwrap();
        all.reverse();
        guest.write_all(&all).unwrap();
    });
    let text: Vec<u8> = (0..300_000_u32).map(|at| (at % 253) as u8).collect();
    let mut client = client(port);
    client.write_all(&text).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    answer.reverse();
    assert!(answer == text, "{} bytes of {}", answer.len(), text.len());
}

#[test]
fn who_is_idle_for_longest_gives_way() {
    let (_ports, port, _dir) = relayed(echo);
    let mut clients: Vec<_> = (0..MAX_CONNECTIONS).map(|_| client(port)).collect();
    assert!(clients.iter_mut().all(talks));
    // The first one is not idle any more: the second one is.
    assert!(talks(&mut clients[0]));
    let mut more = client(port);
    assert!(talks(&mut more));
    assert!(!talks(&mut clients[1]), "it gave way");
    clients.remove(1);
    assert!(clients.iter_mut().all(talks), "nobody else did");
}

#[test]
fn nothing_is_left_of_it() {
    let (ports, port, _dir) = relayed(echo);
    let mut clients: Vec<_> = (0..10).map(|_| client(port)).collect();
    assert!(clients.iter_mut().all(talks));
    let ending = Instant::now();
    drop(ports);
    assert!(ending.elapsed() < Duration::from_secs(5));
    for client in &mut clients {
        assert!(matches!(client.read(&mut [0]), Ok(0)), "it is closed");
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    drop(listen(port).unwrap());
}

#[test]
fn without_a_guest_a_client_is_closed() {
    let listener = listen(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let _ports = Ports::start(vec![Port { listener, to: Path::new("/nonexistent/s").to_owned() }]).unwrap();
    for _ in 0..3 {
        assert!(matches!(client(port).read(&mut [0]), Ok(0) | Err(_)));
    }
}
