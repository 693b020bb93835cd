// Browsers start no Worker in a page that was opened from a disk. Search runs in one, so on such a
// page this class takes the place of Worker and runs the script in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(address) {
      this.onmessage = this.onerror = this.onmessageerror = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => this.answer(data);
      inner.onerror = () => this.onerror?.(new Event("error"));
      const script = inner.document.createElement("script");
      script.onload = () => {
        this.ready = true;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      };
      script.onerror = inner.onerror;
      script.src = new URL(address, location.href);
      inner.document.body.append(script);
    }

    postMessage(data) {
      if (!this.ready) this.waiting.push(data);
      else setTimeout(() => this.frame.contentWindow?.onmessage?.(new MessageEvent("message", { data })));
    }

    answer(data) {
      setTimeout(() => this.onmessage?.(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
