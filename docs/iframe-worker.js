"use strict";
// Search in pages that were opened from the disk. Browsers start no worker there, so the search of the theme runs in a
// hidden frame of the page, which has what a worker has. On a server, this file does nothing.
if (location.protocol === "file:") {
  class FrameWorker extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.scope = frame.contentWindow;
      this.scope.document.open();
      this.scope.document.write("<!DOCTYPE html><title>search</title><body></body>");
      this.scope.document.close();
      this.scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = this.scope.document.createElement("script");
      script.src = address;
      this.isReady = new Promise((resolve) => script.addEventListener("load", resolve));
      this.scope.document.body.append(script);
    }

    async postMessage(data) {
      await this.isReady;
      this.scope.dispatchEvent(new this.scope.MessageEvent("message", { data }));
    }
  }
  window.Worker = window.IFrameWorker = FrameWorker; // the second: the name that the theme asks for
}
