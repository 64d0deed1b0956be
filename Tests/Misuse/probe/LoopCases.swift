import Updraft

/// Every kind of entry point of a loop, on another thread.
let loopCases = [
    Misuse("IOLoop.addHandler", says: "IOLoop.addHandler") { loop in
        await elsewhere(loop) { try $0.addHandler(0, events: .read) { _, _ in } }
    },
    Misuse("IOLoop.updateHandler", says: "IOLoop.updateHandler") { loop in
        await elsewhere(loop) { try $0.updateHandler(0, events: .read) }
    },
    Misuse("IOLoop.removeHandler", says: "IOLoop.removeHandler") { loop in
        await elsewhere(loop) { $0.removeHandler(0) }
    },
    Misuse("IOLoop.readable", says: "IOLoop.readable") { loop in
        await elsewhere(loop, waiting: { try await $0.readable(0) })
    },
    Misuse("IOLoop.addCallback", says: "IOLoop.addCallback") { loop in
        await elsewhere(loop) { $0.addCallback {} }
    },
    Misuse("IOLoop.spawnCallback", says: "IOLoop.spawnCallback") { loop in
        await elsewhere(loop) { $0.spawnCallback {} }
    },
    Misuse("IOLoop.addFuture", says: "IOLoop.addFuture") { loop in
        await elsewhere(loop) { $0.addFuture(Task {}) { _ in } }
    },
    Misuse("IOLoop.callLater", says: "IOLoop.callAt") { loop in
        await elsewhere(loop) { $0.callLater(.seconds(1)) {} }
    },
    Misuse("IOLoop.callAt", says: "IOLoop.callAt") { loop in
        await elsewhere(loop) { $0.callAt($0.now) {} }
    },
    Misuse("IOLoop.removeTimeout", says: "IOLoop.removeTimeout") { loop in
        let timeout = loop.callLater(.seconds(60)) {}
        await elsewhere(loop) { $0.removeTimeout(timeout) }
    },
    Misuse("IOLoop.sleep", says: "IOLoop.sleep") { loop in
        await elsewhere(loop, waiting: { try await $0.sleep(for: .seconds(1)) })
    },
    Misuse("IOLoop.nextTurn", says: "IOLoop.nextTurn") { loop in
        await elsewhere(loop, waiting: { try await $0.nextTurn() })
    },
    Misuse("IOLoop.ticks", says: "IOLoop.ticks") { loop in
        await elsewhere(loop) { _ = try $0.ticks(every: .seconds(1)) }
    },
    Misuse("IOLoop.spawn", says: "IOLoop.spawn") { loop in
        await elsewhere(loop) { $0.spawn {} }
    },
    Misuse("IOLoop.async", says: "IOLoop.async") { loop in
        await elsewhere(loop) { _ = $0.async {} }
    },
    Misuse("IOLoop.group", says: "IOLoop.group") { loop in
        await elsewhere(loop, waiting: { try await $0.group { _ in } })
    },
    Misuse("LoopGroup.spawn", says: "LoopGroup.spawn") { loop in
        try await loop.group { group in await elsewhere(group) { $0.spawn {} } }
    },
    Misuse("LoopGroup.cancelAll", says: "LoopGroup.cancelAll") { loop in
        try await loop.group { group in await elsewhere(group) { $0.cancelAll() } }
    },
    Misuse("LoopFuture.value", says: "LoopFuture.value") { loop in
        let future = loop.async { try await loop.sleep(for: .seconds(60)) }
        await elsewhere(future, waiting: { try await $0.value })
    },
    Misuse("LoopFuture.cancel", says: "LoopFuture.cancel") { loop in
        let future = loop.async { try await loop.sleep(for: .seconds(60)) }
        await elsewhere(future) { $0.cancel() }
    },
    Misuse("IOLoop.stop", says: "IOLoop.stop") { loop in
        await elsewhere(loop) { $0.stop() }
    },
    Misuse("IOLoop.start", says: "IOLoop.start") { loop in
        await elsewhere(loop) { try $0.start() }
    },
    Misuse("IOLoop.close", says: "IOLoop.close") { loop in
        await elsewhere(loop) { $0.close() }
    },
    Misuse("IOLoop.runSync", says: "IOLoop.runSync") { loop in
        await elsewhere(loop) { try $0.runSync {} }
    },
    Misuse("IOLoop.makeCurrent", says: "IOLoop") { loop in
        await elsewhere(loop) { $0.makeCurrent() }
    },
    Misuse("IOLoop.runInExecutor", says: "IOLoop.runInExecutor") { loop in
        await elsewhere(loop, waiting: { try await $0.runInExecutor {} })
    },
    Misuse("IOLoop.setDefaultExecutor", says: "IOLoop.setDefaultExecutor") { loop in
        let pool = try BlockingPool(size: 1)
        await elsewhere(loop) { $0.setDefaultExecutor(pool) }
    },
    Misuse("IOLoop.offLoop", says: "IOLoop.offLoop") { loop in
        await elsewhere(loop, waiting: { try await $0.offLoop {} })
    },
    Misuse("IOLoop.addSignalHandler", says: "IOLoop.addSignalHandler") { loop in
        await elsewhere(loop) { try $0.addSignalHandler(.sigusr1) {} }
    },
    Misuse("IOLoop.removeSignalHandler", says: "IOLoop.removeSignalHandler") { loop in
        let id = try loop.addSignalHandler(.sigusr1) {}
        await elsewhere(loop) { $0.removeSignalHandler(id) }
    },
    Misuse("IOLoop.signal", says: "IOLoop.signal") { loop in
        await elsewhere(loop, waiting: { _ = try await $0.signal([.sigusr1]) })
    },
    Misuse("IOLoop.shutDown", says: "IOLoop.shutDown") { loop in
        await elsewhere(loop) { $0.shutDown() }
    },
    Misuse("IOLoop.onStop", says: "IOLoop.onStop") { loop in
        await elsewhere(loop) { $0.onStop("hook") {} }
    },
    Misuse("StopHook.remove", says: "StopHook.remove") { loop in
        let hook = loop.onStop("hook") {}
        await elsewhere(hook) { $0.remove() }
    },
    Misuse("IOLoop.setBlockingSignalThreshold", says: "IOLoop.setBlockingSignalThreshold") {
        loop in
        await elsewhere(loop) { $0.setBlockingSignalThreshold(nil) }
    },
    Misuse("IOLoop.setBlockingLogThreshold", says: "IOLoop.setBlockingLogThreshold") { loop in
        await elsewhere(loop) { $0.setBlockingLogThreshold(nil) }
    },
    Misuse("IOLoop.metrics", says: "IOLoop.metrics") { loop in
        await elsewhere(loop) { _ = $0.metrics }
    },
    Misuse("IOLoop.dump", says: "IOLoop.dump") { loop in
        await elsewhere(loop) { _ = $0.dump() }
    },
    Misuse("PeriodicCallback.init", says: "PeriodicCallback") { loop in
        await elsewhere(loop) { _ = try PeriodicCallback(every: .seconds(1), on: $0) {} }
    },
    Misuse("PeriodicCallback.start", says: "PeriodicCallback.start") { loop in
        let callback = try PeriodicCallback(every: .seconds(1), on: loop) {}
        await elsewhere(callback) { $0.start() }
    },
    Misuse("PeriodicCallback.stop", says: "PeriodicCallback.stop") { loop in
        let callback = try PeriodicCallback(every: .seconds(1), on: loop) {}
        callback.start()
        await elsewhere(callback) { $0.stop() }
    },
]
