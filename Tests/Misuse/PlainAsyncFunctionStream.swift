// A stream for an async function without a word about its isolation.

import Updraft

nonisolated private func serve(_ stream: IOStream) async {}

nonisolated(nonsending) func giveStreamToPlainFunction(_ stream: IOStream) async {
    await serve(stream)  // error(plain main): sending 'stream' risks causing data races
}
