//! Sockets in an event loop of your own: `poll`, `epoll`, or that of a toolkit.
//!
//! Such loops know descriptors and not futures. A socket gives one that is readable while a call
//! would not wait.
//!
//! ```sh
//! cargo run --example foreign_loop
//! ```

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use rustix::event::{PollFd, PollFlags, poll};
    use spanwire::blocking::{PullSocket, PushSocket, RepSocket, ReqSocket};
    use std::thread;

    let jobs = PullSocket::new();
    let jobs_at = jobs.listen("tcp://127.0.0.1:0")?;
    let questions = RepSocket::new();
    let questions_at = questions.listen("tcp://127.0.0.1:0")?;

    // Somebody gives us work, and then asks how much we have done.
    let (push, req) = (PushSocket::new(), ReqSocket::new());
    push.dial(jobs_at.url())?;
    req.dial(questions_at.url())?;
    let customer = thread::spawn(move || {
        for n in 0..10 {
            push.send(format!("job {n}")).expect("the socket is open");
        }
        // Jobs and questions come over different connections, so one may overtake the other.
        loop {
            let answer = req.request("how many?").expect("the socket is open");
            if answer.body() == "10".as_bytes() {
                return req.request("stop").expect("the socket is open");
            }
        }
    });

    // The descriptors only tell. Never read from them, and wait for them to become *readable*, also
    // where they stand for sending (`writable_fd`).
    let (job_ready, question_ready) = (jobs.readable_fd()?, questions.readable_fd()?);
    let mut done = 0;
    let mut running = true;
    while running {
        let mut waits_for =
            [PollFd::new(&job_ready, PollFlags::IN), PollFd::new(&question_ready, PollFlags::IN)];
        // Here a program has its other descriptors as well, and its timeout.
        poll(&mut waits_for, None)?;

        // The descriptor stays readable while there is something left, so a loop may take as much
        // or as little as it likes each time. `try_recv` never waits.
        while let Ok(job) = jobs.try_recv() {
            println!("doing {}", String::from_utf8_lossy(&job));
            done += 1;
        }
        if let Ok(question) = questions.try_recv() {
            running = &question[..] != b"stop";
            question.try_reply(done.to_string())?;
        }
    }

    let last = customer.join().expect("it does not panic");
    println!("the customer was told: {}", String::from_utf8_lossy(&last));
    assert_eq!(done, 10);
    Ok(())
}

#[cfg(not(unix))]
fn main() {}
