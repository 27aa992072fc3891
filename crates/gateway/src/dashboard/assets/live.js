"use strict";
// Updates the page while it is shown, and copies commands. Every page works without this script.

(() => {
  const main = document.getElementById("main");
  const status = document.getElementById("live-status");
  const pause = Number(main.dataset.live) * 1000;
  let timer = 0;
  // The content as the gateway sent it: the buttons change below.
  let sent = main.innerHTML;

  const showCopyButtons = () => {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.hidden = !navigator.clipboard;
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  });

  // What a person is typing, has selected or has opened is not replaced.
  const isInUse = () => {
    const selection = document.getSelection();
    const focused = document.activeElement;
    const hasText = selection && !selection.isCollapsed && main.contains(selection.anchorNode);
    const isTyping = focused && main.contains(focused) && focused.matches("input, textarea, select");
    return hasText || isTyping || main.querySelector("details[open]") !== null;
  };

  // Finds the same link or button in the new content, so that the keyboard stays where it is.
  const placeOf = (element) => {
    if (!element || !main.contains(element) || element === main) return null;
    const all = [...main.querySelectorAll("a, button, summary, [tabindex]")];
    return { index: all.indexOf(element), text: element.textContent };
  };
  const focusAgain = (place) => {
    if (!place) return;
    const all = [...main.querySelectorAll("a, button, summary, [tabindex]")];
    const same = all[place.index];
    const found = same && same.textContent === place.text
      ? same : all.find((element) => element.textContent === place.text);
    if (found) found.focus({ preventScroll: true });
  };

  const say = (text) => {
    if (status && status.textContent !== text) status.textContent = text;
  };

  const update = async () => {
    if (document.hidden || isInUse()) return;
    let answer;
    try {
      answer = await fetch(location.href, { headers: { "x-s3up-live": "1" }, cache: "no-store" });
    } catch {
      say("The gateway does not answer; this page is not up to date. ");
      return;
    }
    if (answer.redirected) {
      location.reload();
      return;
    }
    if (!answer.ok) {
      say(`The gateway answers with status ${answer.status}; this page is not up to date. `);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    if (!fresh || isInUse()) return;
    if (fresh.innerHTML !== sent) {
      sent = fresh.innerHTML;
      const place = placeOf(document.activeElement);
      main.replaceChildren(...fresh.childNodes);
      focusAgain(place);
      showCopyButtons();
    }
    document.title = page.title;
    const foot = page.querySelector("footer time");
    if (foot) document.querySelector("footer time").replaceWith(foot);
    say(`Updated every ${pause / 1000} s. `);
  };

  const start = () => {
    clearInterval(timer);
    if (!document.hidden) timer = setInterval(update, pause);
  };

  showCopyButtons();
  if (pause > 0) {
    document.addEventListener("visibilitychange", () => {
      start();
      if (!document.hidden) update();
    });
    say(`Updated every ${pause / 1000} s. `);
    start();
  }
})();
