// What a browser made of the pages in the frames of this one: what is wider than its frame, and text that hardly
// stands out from what is behind it. Runs in the page of the test; the pages themselves hold no script.
"use strict";

const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);

const luminance = ([r, g, b]) => {
  const part = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};

const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};

const ground = (view, element) => {
  for (let it = element; it; it = it.parentElement) {
    const colour = numbers(view.getComputedStyle(it).backgroundColor);
    if (colour.length === 3) return colour;
    if (colour[3] > 0) throw new Error(`what is half transparent stands behind text: ${it.outerHTML}`);
  }
  throw new Error("nothing stands behind the text");
};

const judge = (frame) => {
  const [view, page] = [frame.contentWindow, frame.contentDocument];
  const faint = [];
  let texts = 0;
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    texts += 1;
    const colour = numbers(view.getComputedStyle(element).color);
    const found = contrast(colour, ground(view, element));
    if (found < 4.5) faint.push(`${found.toFixed(2)}: ${element.outerHTML}`);
  }
  const wide = [...page.querySelectorAll("body *")].filter((it) => it.getBoundingClientRect().right > view.innerWidth + 1);
  return {
    name: frame.title,
    texts,
    faint,
    wide: page.documentElement.scrollWidth > view.innerWidth ? wide.map((it) => it.outerHTML.slice(0, 200)) : [],
    tags: [...new Set([...page.querySelectorAll("*")].map((it) => it.localName))],
    ground: view.getComputedStyle(page.body).backgroundColor,
    alerts: window.alerts,
  };
};

window.alerts = 0;
window.onload = () => {
  let told;
  try {
    told = [...document.querySelectorAll("iframe")].map(judge);
  } catch (error) {
    told = String(error);
  }
  document.body.innerHTML = "";
  document.body.textContent = `told:${btoa(unescape(encodeURIComponent(JSON.stringify(told))))}:told`;
};
