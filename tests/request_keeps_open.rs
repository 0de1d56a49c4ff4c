//! A request that is worked on elsewhere keeps its socket open until it is answered.

use spanwire::{RepSocket, ReqSocket};

#[tokio::test]
async fn a_request_outlives_the_last_handle_of_its_socket() {
    let (rep, req) = (RepSocket::new(), ReqSocket::new());
    req.dial(rep.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
    let asked = tokio::spawn(async move { req.request("hello?").await });
    let request = rep.recv().await.unwrap();
    drop(rep);
    request.reply("hello!").await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), "hello!".into());
}
