// Says that something has changed since the page was made; without this script the page is whole all the same.
"use strict";
const news = document.getElementById("news");
if (news && window.EventSource) {
  const stream = new EventSource("/drift/stream");
  stream.onmessage = () => news.classList.add("there");
}
