// A stream for a function that says it runs anywhere.

import Updraft

@concurrent nonisolated private func digest(_ stream: IOStream) async {}

nonisolated(nonsending) func giveStreamToConcurrentFunction(_ stream: IOStream) async {
    await digest(stream)  // error: sending 'stream' risks causing data races
}
