//! Connections on a clock that the tests move.

use tokio::time::advance;

use super::*;

const TIMEOUTS: TimeoutSettings = TimeoutSettings {
    connect_ms: 1,
    response_header_ms: 1,
    idle_ms: 60_000,
    request_header_ms: 10_000,
    drain_ms: 1,
    tls_handshake_ms: 5_000,
    tunnel_idle_ms: 1,
    unready_ms: 0,
    client_bytes_per_s_min: 1024,
};

fn connection() -> Rc<Connection> {
    Rc::new(Connection::new(([127, 0, 0, 1], 1).into(), Scheme::Http))
}

async fn after(connection: &Connection, seconds: u64) -> Option<Order> {
    advance(Duration::from_secs(seconds)).await;
    connection.overdue(Instant::now(), &TIMEOUTS)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_whole_head_is_dropped() {
    let fresh = connection();
    fresh.note_read();
    assert_eq!(after(&fresh, 9).await, None);
    assert_eq!(after(&fresh, 1).await, Some(Order::Abort));
    let next = connection();
    drop(next.begin(false));
    assert_eq!(after(&next, 30).await, None);
    next.note_read();
    assert_eq!(after(&next, 9).await, None);
    next.note_read();
    assert_eq!(after(&next, 1).await, Some(Order::Abort));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_limit_of_its_own_and_the_head_its_own_after_it() {
    let secure = || Rc::new(Connection::new(([127, 0, 0, 1], 1).into(), Scheme::Https));
    let slow = secure();
    slow.note_read();
    assert_eq!(after(&slow, 4).await, None);
    assert_eq!(after(&slow, 1).await, Some(Order::Abort));
    let quick = secure();
    assert_eq!(after(&quick, 4).await, None);
    quick.secure(Secured::default());
    assert_eq!(after(&quick, 9).await, None);
    assert_eq!(after(&quick, 1).await, Some(Order::Abort));
}

#[tokio::test]
async fn when_there_are_too_many_the_oldest_is_ended() {
    let connections = Rc::new(Connections::default());
    let (first, second) = (connection(), connection());
    let _registered = (connections.register(&first), connections.register(&second));
    connections.keep_to(2);
    assert_eq!(first.order.get(), None);
    connections.keep_to(1);
    assert_eq!(first.order.get(), Some(Order::Abort));
    assert_eq!(second.order.get(), None);
}

#[tokio::test]
async fn what_has_come_when_the_edge_stops_is_still_taken() {
    let waiting = connection();
    waiting.obey(Order::Finish);
    assert_eq!(waiting.until_told(async { 1 }).await, Some(1));
    assert_eq!(waiting.until_told(std::future::pending::<u8>()).await, None);
    waiting.obey(Order::Abort);
    assert_eq!(waiting.until_told(async { 1 }).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_agrees_on_tls_when_the_edge_stops_has_a_little_time() {
    let secure = || Rc::new(Connection::new(([127, 0, 0, 1], 1).into(), Scheme::Https));
    let greeting = secure();
    greeting.obey(Order::Finish);
    let quick = tokio::time::sleep(GRACE / 2);
    assert_eq!(greeting.until_late(quick).await, Some(()));
    greeting.secure(Secured::default());
    let begun = Instant::now();
    let (finished, served) = (Cell::new(None), std::future::pending::<()>());
    let mut served = std::pin::pin!(served);
    let drive = greeting.drive(served.as_mut(), |_| finished.set(Some(begun.elapsed())));
    assert!(tokio::time::timeout(2 * GRACE, drive).await.is_err());
    assert_eq!(finished.get(), Some(GRACE / 2));
    let silent = secure();
    silent.obey(Order::Finish);
    let never = std::future::pending::<()>();
    assert_eq!(silent.until_late(never).await, None);
}

#[tokio::test]
async fn after_its_first_request_a_connection_finishes_as_it_is_told() {
    let connection = Rc::new(Connection::new(([127, 0, 0, 1], 1).into(), Scheme::Https));
    connection.secure(Secured::default());
    connection.obey(Order::Finish);
    let finished = Cell::new(false);
    let mut serve = std::pin::pin!(poll_fn(|_| {
        if finished.get() {
            return Poll::Ready(());
        }
        drop(connection.begin(false));
        Poll::Pending
    }));
    let ended = connection.drive(serve.as_mut(), |_| finished.set(true));
    assert_eq!(ended.await, Some(()));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_finished_and_a_busy_one_is_left() {
    let connection = connection();
    let (one, two) = (connection.begin(true), connection.begin(true));
    assert_eq!(after(&connection, 600).await, None);
    drop(one);
    assert_eq!(after(&connection, 600).await, None);
    drop(two);
    connection.note_read();
    assert_eq!(after(&connection, 59).await, None);
    assert_eq!(after(&connection, 1).await, Some(Order::Finish));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped() {
    let connection = connection();
    let _flight = connection.begin(false);
    connection.note_blocked();
    assert_eq!(after(&connection, 59).await, None);
    connection.note_written(1);
    connection.note_blocked();
    assert_eq!(after(&connection, 59).await, None);
    assert_eq!(after(&connection, 1).await, Some(Order::Abort));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_still_being_written_is_waited_for() {
    let connection = connection();
    drop(connection.begin(false));
    for _ in 0..10 {
        connection.note_blocked();
        assert_eq!(after(&connection, 59).await, None);
        connection.note_written(100_000);
    }
    assert_eq!(after(&connection, 59).await, None);
    assert_eq!(after(&connection, 1).await, Some(Order::Finish));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_before_each_limit_is_dropped() {
    for (bytes, expect) in [(59 * 1024, None), (1024, Some(Order::Abort))] {
        let connection = connection();
        let _flight = connection.begin(false);
        connection.note_blocked();
        assert_eq!(after(&connection, 59).await, None);
        connection.note_written(bytes);
        connection.note_blocked();
        assert_eq!(after(&connection, 59).await, None);
        connection.note_written(bytes);
        assert_eq!(after(&connection, 0).await, expect);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_an_origin_that_says_little_is_not_slow() {
    let connection = connection();
    let _flight = connection.begin(false);
    for _ in 0..100 {
        connection.note_written(10);
        assert_eq!(after(&connection, 59).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_head_is_awaited_from_the_last_answers_end_on() {
    let connection = connection();
    drop(connection.begin(false));
    connection.note_blocked();
    connection.note_read();
    for _ in 0..3 {
        assert_eq!(after(&connection, 50).await, None);
        connection.note_written(100_000);
        connection.note_blocked();
    }
    connection.note_written(1);
    assert_eq!(after(&connection, 9).await, None);
    connection.note_read();
    assert_eq!(after(&connection, 1).await, Some(Order::Abort));
}

#[tokio::test(start_paused = true)]
async fn what_is_written_beside_answers_keeps_no_connection() {
    let fresh = connection();
    assert_eq!(after(&fresh, 9).await, None);
    fresh.note_written(100);
    assert_eq!(after(&fresh, 1).await, Some(Order::Abort));
    let idle = connection();
    drop(idle.begin(true));
    for _ in 0..3 {
        assert_eq!(after(&idle, 19).await, None);
        idle.note_written(17);
    }
    assert_eq!(after(&idle, 3).await, Some(Order::Finish));
}

#[tokio::test]
async fn who_takes_nothing_has_no_more_made() {
    let connection = connection();
    let (one, two) = (connection.begin(true), connection.begin(true));
    one.hold(HELD_BYTES_MAX - 1);
    poll_fn(|cx| two.poll_room(cx)).await;
    two.hold(1);
    let turn = Cell::new(0);
    let waiting = async {
        poll_fn(|cx| two.poll_room(cx)).await;
        assert_eq!(turn.get(), 1);
    };
    let reading = async {
        tokio::task::yield_now().await;
        turn.set(1);
        one.let_go(HELD_BYTES_MAX - 1);
    };
    tokio::join!(waiting, reading);
    two.let_go(1);
    assert_eq!(connection.held.get(), 0);
    // What waits for the socket is enough, however little it is.
    connection.note_blocked();
    let writing = async {
        tokio::task::yield_now().await;
        turn.set(2);
        connection.note_written(1);
    };
    let waiting = async {
        poll_fn(|cx| one.poll_room(cx)).await;
        assert_eq!(turn.get(), 2);
    };
    tokio::join!(waiting, writing);
}

#[tokio::test]
async fn what_ends_a_connection_while_it_is_read_ends_it() {
    let connection = connection();
    let mut serve = std::pin::pin!(poll_fn(|_| {
        connection.floods();
        Poll::<()>::Pending
    }));
    assert!(connection.drive(serve.as_mut(), |_| {}).await.is_none());
    assert!(connection.was_flooding());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_its_windows_shut_is_dropped() {
    let connection = connection();
    let (one, two) = (connection.begin(true), connection.begin(true));
    one.piece_made(1);
    assert_eq!(after(&connection, 59).await, None);
    two.piece_made(1);
    two.piece_gone();
    assert_eq!(after(&connection, 59).await, None);
    assert_eq!(after(&connection, 1).await, Some(Order::Abort));
    one.piece_gone();
    assert_eq!(after(&connection, 600).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_let_its_connection_be_finished_is_dropped() {
    let connection = connection();
    drop(connection.begin(true));
    assert_eq!(after(&connection, 119).await, Some(Order::Finish));
    assert_eq!(after(&connection, 1).await, Some(Order::Abort));
}

#[tokio::test]
async fn orders_reach_a_driver_that_waits() {
    let connection = connection();
    let connections = Rc::new(Connections::default());
    let registered = connections.register(&connection);
    let finished = Cell::new(false);
    let mut serve = std::pin::pin!(std::future::pending::<()>());
    let drive = connection.drive(serve.as_mut(), |_| finished.set(true));
    let order = async {
        tokio::task::yield_now().await;
        connections.order(Order::Finish);
        tokio::task::yield_now().await;
        connections.order(Order::Abort);
    };
    let (outcome, ()) = tokio::join!(drive, order);
    assert!(outcome.is_none() && finished.get());
    drop(registered);
    connections.fewer_than(1).await;
}
