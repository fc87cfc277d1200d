// What Gradio's own components cannot do. `ser.NAME` is the js_on_load of the component NAME in components.py.
window.ser = (() => {
  const SAMPLES_16K = 16000; // Hz, of live sound and of what the browser decodes
  const LONGEST = 300; // seconds of a recording made here
  const QUIET = 0.001; // peak amplitude below which the microphone counts as silent
  const MOST_DECODED = 100e6; // bytes of a video that is decoded here
  const TROUBLE = {
    NotAllowedError: "The browser does not allow the microphone for this page. Allow it in the address bar, then press Record again, or choose a file.",
    NotFoundError: "No microphone was found. Connect one and press Record again, or choose a file.",
    NotReadableError: "Another program is using the microphone. Close it and press Record again, or choose a file.",
    SecurityError: "Browsers record only on https pages and on localhost. Choose a file instead.",
  };
  const NOTHING_ARRIVES = "The microphone is silent. Check that it is switched on and is the one your system uses.";

  const NO_ANSWER = "The server does not answer. Trying again.";

  const clock = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const by = (root, name) => root.querySelector(`[data-part=${name}]`);
  const escaped = text => Object.assign(document.createElement("i"), {textContent: text}).innerHTML.replaceAll('"', "&quot;");
  const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const clearText = (element, text) => { if (element.textContent === text) element.textContent = ""; };

  // ---- announcements for screen readers
  let speaker;
  function say(text) {
    if (!speaker) {
      speaker = Object.assign(document.createElement("div"), {id: "announcer", className: "unseen"});
      speaker.setAttribute("role", "status");
      document.body.append(speaker);
    }
    speaker.textContent = "";
    setTimeout(() => { speaker.textContent = text; }, 50);
  }

  // ---- sound
  const WORKLET = `registerProcessor("tap", class extends AudioWorkletProcessor {
    kept = []; count = 0;
    process([[samples]]) {
      if (samples) { this.kept.push(samples.slice()); this.count += samples.length; }
      if (this.count >= 1024) { this.port.postMessage(this.kept); this.kept = []; this.count = 0; }
      return true;
    }
  })`;

  async function openMicrophone(onSamples) {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "SecurityError");
    const stream = await navigator.mediaDevices.getUserMedia({audio: true});
    const context = new AudioContext();
    const address = URL.createObjectURL(new Blob([WORKLET], {type: "text/javascript"}));
    await context.audioWorklet.addModule(address);
    URL.revokeObjectURL(address);
    const tap = new AudioWorkletNode(context, "tap");
    tap.port.onmessage = ({data}) => onSamples(joined(data));
    context.createMediaStreamSource(stream).connect(tap).connect(context.destination); // it is silent, and asks for samples
    await context.resume();
    return {rate: context.sampleRate, close: () => { stream.getTracks().forEach(track => track.stop()); context.close(); }};
  }

  function joined(blocks) {
    const whole = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of blocks) { whole.set(block, at); at += block.length; }
    return whole;
  }

  const toInt16 = samples => Int16Array.from(samples, x => Math.max(-1, Math.min(1, x)) * 32767);

  function toWav(samples, rate, name) {
    const head = new DataView(new ArrayBuffer(44)), bytes = 2 * samples.length;
    const text = (at, value) => [...value].forEach((letter, index) => head.setUint8(at + index, letter.charCodeAt()));
    text(0, "RIFF"); head.setUint32(4, 36 + bytes, true); text(8, "WAVEfmt "); head.setUint32(16, 16, true);
    head.setUint16(20, 1, true); head.setUint16(22, 1, true); head.setUint32(24, rate, true);
    head.setUint32(28, 2 * rate, true); head.setUint16(32, 2, true); head.setUint16(34, 16, true);
    text(36, "data"); head.setUint32(40, bytes, true);
    return new File([head, toInt16(samples)], name, {type: "audio/wav"});
  }

  async function resampled(samples, rate, wanted) {
    const context = new OfflineAudioContext(1, Math.max(1, Math.round(samples.length * wanted / rate)), wanted);
    const buffer = context.createBuffer(1, samples.length, rate), source = context.createBufferSource();
    buffer.copyToChannel(samples, 0);
    source.buffer = buffer;
    source.connect(context.destination);
    source.start();
    return (await context.startRendering()).getChannelData(0);
  }

  // The server reads WAV, FLAC, Ogg and MP3; of anything else that the browser can play, it gets the sound as WAV.
  async function readableByServer(file) {
    const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
    const known = /^(RIFF|fLaC|OggS|ID3)/.test(String.fromCharCode(...head)) || (head[0] === 255 && head[1] >= 224);
    if (known || file.size > MOST_DECODED) return file;
    try {
      const sound = await new OfflineAudioContext(1, 1, SAMPLES_16K).decodeAudioData(await file.arrayBuffer());
      const channels = Array.from({length: sound.numberOfChannels}, (_, index) => sound.getChannelData(index));
      const mono = channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
      return toWav(mono, sound.sampleRate, `${file.name}.wav`);
    } catch {
      return file; // the server says what is wrong with it
    }
  }

  function meter(element) {
    const bar = element.firstElementChild;
    return samples => {
      const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
      const level = Math.round(Math.max(0, Math.min(100, 100 + 10 / 0.6 * Math.log10(power + 1e-10))));
      bar.style.width = `${level}%`;
      element.setAttribute("aria-valuenow", level);
    };
  }

  // A button that starts and stops the microphone; words are its two labels.
  function recordButton(element, words, {started = () => {}, samples, ended, longest = Infinity}) {
    const button = by(element, "record"), hint = by(element, "hint"), time = by(element, "time");
    const show = meter(by(element, "meter"));
    let microphone = null, opening = false, seconds = 0, peak = 0;
    function label(running) {
      button.classList.toggle("running", running);
      setText(by(element, "word"), words[Number(running)]);
    }
    async function start() {
      opening = true;
      seconds = peak = 0;
      setText(hint, "");
      try {
        microphone = await openMicrophone(block => {
          if (!microphone) return;
          seconds += block.length / microphone.rate;
          peak = block.reduce((most, x) => Math.max(most, Math.abs(x)), peak);
          setText(time, clock(seconds));
          show(block);
          seconds > 1.5 && peak < QUIET ? setText(hint, NOTHING_ARRIVES) : clearText(hint, NOTHING_ARRIVES);
          samples(block, microphone.rate);
          if (seconds > longest) stop();
        });
        label(true);
        started();
      } catch (error) {
        setText(hint, TROUBLE[error.name] || `The microphone cannot be used: ${error.message}`);
      }
      opening = false;
    }
    function stop(reason = "") {
      if (!microphone) return;
      const {rate, close} = microphone;
      microphone = null;
      close();
      label(false);
      by(element, "meter").firstElementChild.style.width = 0;
      if (reason) setText(hint, reason);
      ended(rate, peak);
    }
    button.addEventListener("click", () => { if (!opening) microphone ? stop() : start(); });
    button.disabled = false; // pressed earlier, it would do nothing
    return {stop, button, hint, running: () => Boolean(microphone)};
  }

  // ---- one player for all: examples, answer, history, timeline, live
  const player = new Audio();
  let current = null; // the file whose answer is shown
  const sent = {}; // all files by path, as an answer may arrive when the next file is current
  const address = button => button.dataset.play || current?.url;
  function updatePlayButtons() {
    for (const button of document.querySelectorAll("[data-do=play]")) {
      const playing = !player.paused && player.source === address(button);
      const text = by(button, "word") || button;
      setText(text, playing ? "Pause" : "Play");
    }
  }
  for (const event of ["play", "pause", "ended"]) player.addEventListener(event, updatePlayButtons);
  function load(url) {
    if (player.source === url) return;
    player.pause();
    player.source = player.src = url;
  }
  function play(url, at) {
    if (!url) return;
    load(url);
    if (at !== undefined) player.currentTime = at;
    player.play().catch(() => say("This recording can no longer be played."));
  }

  const actions = {
    play: button => { player.source === address(button) && !player.paused ? player.pause() : play(address(button)); },
    again: () => { const button = document.querySelector("#recorder [data-part=record]"); button.focus(); button.scrollIntoView({block: "center"}); button.click(); },
    save: button => savePicture(button.closest("[data-picture]").dataset.picture),
    open: button => main.open({path: button.dataset.path, url: button.dataset.url}),
  };
  document.addEventListener("click", event => {
    const button = event.target.closest("[data-do]");
    if (button) actions[button.dataset.do](button);
  });

  async function savePicture(svg) {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), {width: 2 * image.width, height: 2 * image.height});
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => save(blob, "how-i-sounded.png"));
  }

  function save(blob, name) {
    const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  // ---- recorder: record, drop or choose
  let main = null; // the recorder at the top; what is dropped anywhere is for it
  function recorder({element, props, trigger, upload}) {
    const blocks = [];
    const button = recordButton(element, ["Record", "Stop"], {
      longest: LONGEST,
      started: () => { blocks.length = 0; player.pause(); },
      samples: block => blocks.push(block),
      ended: rate => {
        if (blocks.length) send([toWav(joined(blocks), rate, "recording.wav")]);
      },
    });
    async function send(files) {
      button.hint.textContent = files.length > 1 ? `Uploading ${files.length} files…` : "";
      try {
        const uploaded = [];
        for (const file of files) {
          const {path, url} = await upload(await readableByServer(file));
          uploaded.push({path, url, orig_name: file.name, meta: {_type: "gradio.FileData"}});
        }
        button.hint.textContent = "";
        submit(uploaded);
      } catch (error) {
        button.hint.textContent = `The upload failed: ${error.message || error}`;
      }
    }
    function submit(files) {
      if (files.length === 1 && own) { current = sent[files[0].path] = files[0]; load(current.url); }
      props.value = files;
      trigger(files.length > 1 ? "upload" : "submit");
    }
    const own = Boolean(element.closest("#recorder")), input = by(element, "files");
    if (!own) return;
    main = {send, open: file => submit([{...file, meta: {_type: "gradio.FileData"}}])};
    input.addEventListener("change", () => { if (input.files.length) send([...input.files]); input.value = ""; });
    const zone = by(element, "zone");
    document.addEventListener("dragover", event => { event.preventDefault(); zone.classList.add("over"); });
    document.addEventListener("dragleave", event => { if (!event.relatedTarget) zone.classList.remove("over"); });
    document.addEventListener("drop", event => {
      event.preventDefault();
      zone.classList.remove("over");
      if (event.dataTransfer.files.length) send([...event.dataTransfer.files]);
    });
  }

  // ---- answer: announced and scrolled to
  let voices = null; // the visitor's ordinary voice, for live answers
  function answer({element, watch}) {
    watch("value", () => {
      const card = element.querySelector("[data-say]");
      updatePlayButtons();
      if (!card) return;
      if (card.dataset.voices) voices = JSON.parse(card.dataset.voices);
      say(card.dataset.say);
      card.scrollIntoView({block: "nearest"});
    });
  }

  // ---- history: of this tab, kept by the browser until it is closed
  const KEY = "ser-attempts", MOST_ATTEMPTS = 30;
  function history({element, props, watch}) {
    let attempts = [], chosen = [];
    try { attempts = JSON.parse(sessionStorage.getItem(KEY)) || []; } catch { /* nothing was kept */ }
    const list = by(element, "list"), compared = by(element, "compared"), empty = by(element, "empty");
    function draw() {
      try { sessionStorage.setItem(KEY, JSON.stringify(attempts)); } catch { /* full, or not allowed: shown all the same */ }
      empty.hidden = attempts.length > 0;
      list.innerHTML = attempts.map((each, index) => `<li class="attempt ${each.tone}" data-index="${index}">
        <span class="when">${escaped(each.time)}</span><span class="what">${each.face}${escaped(each.word)}</span>
        <span class="thin"><span style="width:${100 * each.share}%"></span></span>
        <label class="pick"><input type="checkbox" ${chosen.includes(each.key) ? "checked" : ""}
          aria-label="Compare ${escaped(each.word)}, ${escaped(each.time)}"> compare</label>
        <button type="button" data-do="open" data-path="${escaped(each.file.path)}" data-url="${escaped(each.file.url)}"
          aria-label="Show again: ${escaped(each.word)}, ${escaped(each.time)}">Show</button>
        <button type="button" class="remove" aria-label="Remove ${escaped(each.word)}, ${escaped(each.time)}">Remove</button></li>`).join("");
      const pair = chosen.map(key => attempts.find(each => each.key === key)).filter(Boolean);
      compared.innerHTML = pair.length === 2 ? pair.map(each => `<section class="${each.tone}">
        <h3>${each.face}${escaped(each.word)} <small>${escaped(each.time)}</small></h3>${each.bars}</section>`).join("") : "";
      compared.hidden = pair.length !== 2;
    }
    watch("value", () => {
      const latest = props.value;
      if (!latest || attempts.some(each => each.key === latest.key)) return;
      const time = new Date().toLocaleTimeString([], {hour12: false});
      const {path, url} = sent[latest.path];
      attempts = [{...latest, time, file: {path, url}}, ...attempts].slice(0, MOST_ATTEMPTS);
      draw();
    });
    list.addEventListener("change", event => {
      const {key} = attempts[event.target.closest("li").dataset.index], {index} = event.target.closest("li").dataset;
      chosen = event.target.checked ? [...chosen, key].slice(-2) : chosen.filter(each => each !== key);
      draw();
      list.children[index].querySelector("input").focus();
      if (chosen.length === 2) say(compared.innerText);
    });
    list.addEventListener("click", event => {
      if (!event.target.matches(".remove")) return;
      const index = Number(event.target.closest("li").dataset.index);
      chosen = chosen.filter(key => key !== attempts[index].key);
      attempts.splice(index, 1);
      draw();
      (list.children[Math.min(index, attempts.length - 1)]?.querySelector(".remove") || element).focus();
    });
    draw();
  }

  // ---- timeline of a long recording
  function timeline({element, props, trigger, watch}) {
    const [track, strip, wave, cursor, slider, now, scroller, zoomed] =
      ["track", "strip", "wave", "cursor", "slider", "now", "scroller", "zoomed"].map(name => by(element, name));
    let data = null, view = "smoothed", zoom = 1;
    const rowAt = time => data.rows.findLast(row => row.start <= time) || data.rows[0];
    const seconds = () => (player.source === current?.url ? player.currentTime : Number(slider.value));

    function drawStrip() {
      const runs = [];
      data.rows.forEach((row, index) => {
        const [tone, word] = row[view], end = data.rows[index + 1]?.start ?? data.seconds;
        if (runs.at(-1)?.tone === tone) runs.at(-1).end = end;
        else runs.push({tone, word, start: row.start, end});
      });
      const width = track.clientWidth / data.seconds;
      strip.innerHTML = runs.map(({tone, word, start, end}) => `<span class="${tone}" title="${clock(start)} ${escaped(word)}"
        style="left:${100 * start / data.seconds}%;width:${100 * (end - start) / data.seconds}%">${
        (end - start) * width > 26 ? data.faces[tone] : ""}</span>`).join("");
      by(element, "ticks").innerHTML = ticks().map(time =>
        `<span style="left:${100 * time / data.seconds}%">${clock(time)}</span>`).join("");
    }
    function ticks() {
      const fits = Math.max(2, track.clientWidth / 70);
      const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find(each => data.seconds / each <= fits) || 600;
      return Array.from({length: Math.floor(data.seconds / step) + 1}, (_, index) => index * step).filter(time => time < data.seconds * 0.97);
    }
    function drawWave() {
      wave.width = Math.min(16000, track.clientWidth);
      const pen = wave.getContext("2d"), {peaks} = data, middle = wave.height / 2;
      pen.fillStyle = getComputedStyle(element).color;
      for (let x = 0; x < wave.width; x++) {
        const [from, to] = [x, x + 1].map(each => Math.floor(each * peaks.length / wave.width));
        const half = Math.max(0.5, middle * Math.max(...peaks.slice(from, Math.max(from + 1, to))));
        pen.fillRect(x, middle - half, 1, 2 * half);
      }
    }
    function show(time) {
      if (!data) return;
      const row = rowAt(Math.max(0, time - data.hop / 2)), [, word] = row[view];
      cursor.style.left = `${100 * time / data.seconds}%`;
      slider.value = time;
      setText(now, `${clock(time)} ${word}`);
      slider.setAttribute("aria-valuetext", `${clock(time)} ${word}`);
    }
    function seek(time, playing) {
      time = Math.max(0, Math.min(data.seconds - 0.05, time));
      load(current.url);
      player.currentTime = time;
      if (playing) play(current.url, time);
      show(time);
    }
    function setZoom(wanted) {
      const middle = seconds() / (data?.seconds || 1);
      zoom = Math.max(1, Math.min(wanted, 64));
      track.style.width = `${100 * zoom}%`;
      setText(zoomed, `${zoom}×`);
      if (!data) return;
      drawWave(); drawStrip(); show(seconds());
      scroller.scrollLeft = middle * track.clientWidth - scroller.clientWidth / 2;
    }
    watch("value", () => {
      if (!props.value) { data = null; return; }
      const same = data && data.key === props.value.key;
      data = props.value;
      slider.max = data.seconds;
      requestAnimationFrame(() => { setZoom(same ? zoom : 1); show(same ? seconds() : 0); });
    });
    track.addEventListener("click", event => {
      const box = track.getBoundingClientRect(), time = data.seconds * (event.clientX - box.left) / box.width;
      seek(time, true);
      trigger("place", {start: rowAt(time - data.hop / 2).start});
    });
    slider.addEventListener("input", () => seek(Number(slider.value), false));
    slider.addEventListener("change", () => trigger("place", {start: rowAt(Number(slider.value) - data.hop / 2).start}));
    player.addEventListener("timeupdate", () => {
      if (!data || player.source !== current?.url) return;
      show(player.currentTime);
      const x = player.currentTime / data.seconds * track.clientWidth;
      if (!player.paused && (x < scroller.scrollLeft || x > scroller.scrollLeft + scroller.clientWidth)) scroller.scrollLeft = x - 40;
    });
    element.addEventListener("change", event => {
      if (event.target.name === "timeline-view") { view = event.target.value; drawStrip(); show(seconds()); }
    });
    by(element, "in").addEventListener("click", () => setZoom(2 * zoom));
    by(element, "out").addEventListener("click", () => setZoom(zoom / 2));
    new ResizeObserver(() => { if (data && track.clientWidth) { drawWave(); drawStrip(); } }).observe(scroller);
  }

  // ---- live
  const WINDOW = 3, EVERY = 600, KEPT = 60; // seconds, milliseconds, seconds
  function live({element, server}) {
    const [word, bars, strip, keep] = ["answer", "bars", "strip", "keep"].map(name => by(element, name));
    let blocks = [], count = 0, rate = 0, kept = null, before = null, shown = "";
    const button = recordButton(element, ["Start listening", "Stop listening"], {
      started: () => { blocks = []; count = 0; before = null; shown = ""; kept = null; strip.innerHTML = ""; keep.hidden = true; player.pause(); ask(); },
      samples: (block, itsRate) => {
        rate = itsRate;
        blocks.push(block);
        count += block.length;
        while (count - blocks[0].length > KEPT * rate) count -= blocks.shift().length;
      },
      ended: () => {
        if (!count) return;
        kept = toWav(joined(blocks), rate, "last-minute.wav");
        by(element, "replay").dataset.play = URL.createObjectURL(kept);
        keep.hidden = false;
        updatePlayButtons();
      },
    });
    function lastSeconds() {
      const wanted = [];
      for (let index = blocks.length - 1, have = 0; index >= 0 && have < WINDOW * rate; index--) {
        wanted.unshift(blocks[index]);
        have += blocks[index].length;
      }
      return joined(wanted).slice(-WINDOW * rate);
    }
    async function ask() {
      while (button.running()) {
        const began = performance.now();
        if (count) {
          try {
            const samples = toInt16(await resampled(lastSeconds(), rate, SAMPLES_16K));
            const model = document.querySelector("#model input:checked")?.value;
            const said = await server.classify_live({audio: base64(samples), model, voices, before});
            clearText(button.hint, NO_ANSWER);
            if (button.running()) show(said);
          } catch {
            setText(button.hint, NO_ANSWER);
          }
        }
        await new Promise(done => setTimeout(done, Math.max(100, EVERY - (performance.now() - began))));
      }
    }
    function show({answer, bars: drawn, tone, word: text, memory}) {
      before = memory;
      if (word.innerHTML !== answer) word.innerHTML = answer;
      bars.innerHTML = drawn;
      const cell = document.createElement("span");
      cell.className = tone;
      cell.title = text;
      if (text !== shown) { cell.innerHTML = word.querySelector("svg")?.outerHTML || ""; say(text); }
      shown = text;
      strip.append(cell);
      while (strip.children.length > KEPT * 1000 / EVERY) strip.firstChild.remove();
      strip.scrollLeft = strip.scrollWidth;
    }
    function base64(samples) {
      const bytes = new Uint8Array(samples.buffer);
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      return btoa(text);
    }
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) button.stop("Listening stopped because the page was no longer visible.");
    });
    by(element, "save").addEventListener("click", () => save(kept, kept.name));
  }

  return {recorder, answer, history, timeline, live};
})();
