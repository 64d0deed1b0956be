// A stream for an actor, even one that lives on the loop: the language does not know that.

import Updraft

private actor Keeper: LoopBound {
    nonisolated let loopExecutor = LoopExecutor.ofThisThread
    func keep(_ stream: IOStream) {}
}

nonisolated(nonsending) func giveStreamToLoopActor(_ stream: IOStream) async {
    await Keeper().keep(stream)  // error: sending 'stream' risks causing data races
}
