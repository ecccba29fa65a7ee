use super::*;

/// Begins a request to Podman, accepts lines of stdout, and returns which of them are new.
fn podman<const N: usize>(cursor: &mut Cursor, lines: [(i64, &str); N]) -> [bool; N] {
    cursor.begin_request(Podman, None, None);
    lines.map(|(second, text)| accept(cursor, Stdout, second * SECOND, text) == New)
}

#[test]
fn podmans_lines_with_the_same_stamp_are_told_apart_by_their_count() {
    let mut cursor = Cursor::default();
    assert_eq!(podman(&mut cursor, [(4, "x"), (5, "x"), (5, "x"), (5, "x")]), [true; 4]);
    let place = cursor.place(&line(Stdout, 5 * SECOND, "x"), None, at(0), Origin::Unprovable);
    let resumed = LogPosition { stdout: Some(place.line), ..LogPosition::from_time(place.since) };
    let [mut other, mut broken] = [(); 2].map(|()| Cursor::resumed(&resumed));
    // The request breaks within the lines that were read before.
    assert_eq!(podman(&mut broken, [(4, "x"), (5, "x"), (5, "x")]), [false; 3]);
    for cursor in [&mut cursor, &mut other, &mut broken] {
        let new = podman(cursor, [(4, "x"), (5, "x"), (5, "x"), (5, "x"), (5, "x"), (6, "x")]);
        assert_eq!(new, [false, false, false, false, true, true]);
    }
}

#[test]
fn lines_that_a_response_of_podman_omitted_are_new_in_the_next_response() {
    let mut cursor = Cursor::default();
    // Among the lines that this response omits are lines that equal others, and a line of the previous second.
    assert_eq!(podman(&mut cursor, [(4, "a"), (5, "b"), (5, "b"), (5, "e")]), [true; 4]);
    let whole = [(4, "a"), (4, "o"), (5, "b"), (5, "c"), (5, "b"), (5, "b"), (5, "d"), (5, "e"), (5, "e")];
    let new = [false, true, false, true, false, true, true, false, true];
    assert_eq!(podman(&mut cursor, whole), new);
    assert_eq!(podman(&mut cursor, whole), [false; 9]);
    // A source that resumes from this position goes on behind all of these lines.
    let place = cursor.place(&line(Stdout, 5 * SECOND, "e"), None, at(0), Origin::Unprovable);
    let resumed = LogPosition { stdout: Some(place.line), ..LogPosition::from_time(place.since) };
    let mut other = Cursor::resumed(&resumed);
    assert_eq!(podman(&mut other, whole), [false; 9]);
}

#[test]
fn podmans_lines_beyond_the_remembered_lines_are_told_apart_by_their_count() {
    let mut cursor = Cursor::default();
    let mut read = |lines: usize| {
        cursor.begin_request(Podman, None, None);
        let texts = (0..lines).map(|number| number.to_string());
        texts.filter(|text| accept(&mut cursor, Stdout, SECOND, text) == New).count()
    };
    assert_eq!(read(REMEMBERED_AT_MOST + 10), REMEMBERED_AT_MOST + 10);
    assert_eq!(read(REMEMBERED_AT_MOST + 30), 20);
    assert_eq!(read(REMEMBERED_AT_MOST + 30), 0);
}

#[test]
fn a_request_to_podman_starts_at_a_whole_second_or_the_floor() {
    let mut cursor = cursor([5 * SECOND]);
    cursor.accept(&line(Stdout, 9 * SECOND, "x"), Origin::Unprovable, at(8 * SECOND + 7));
    assert_eq!(cursor.begin_request(Podman, None, None), Some(at(7 * SECOND)));
    let floor = Some(at(7 * SECOND + 1));
    assert_eq!(cursor.begin_request(Podman, floor, None), floor);
}

#[test]
fn an_unfinished_line_that_podman_continues_is_new_each_time() {
    let mut cursor = Cursor::default();
    let mut read = |text, ended| {
        cursor.begin_request(Podman, None, None);
        let lines = [line(Stdout, SECOND, "x"), Line { ended, ..line(Stdout, SECOND, text) }];
        lines.map(|line| cursor.accept(&line, Origin::Unprovable, at(SECOND)) == New)
    };
    assert_eq!(read("end", false), [true, true]);
    assert_eq!(read("end", false), [false, false]);
    assert_eq!(read("endbegin", false), [false, true]);
    assert_eq!(read("endbeginend", true), [false, true]);
    assert_eq!(read("endbeginend", true), [false, false]);
}
