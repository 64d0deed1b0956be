import Updraft

// What docs/context.md shows.

enum Request {
    @TaskLocal static var id = 0
}

func followContext(_ loop: IOLoop, _ listener: Int32) throws {
    Request.$id.withValue(7) {
        loop.callLater(.seconds(3)) { print("reminder of request \(Request.id)") }
    }
    // prints, three seconds later: reminder of request 7

    try loop.withoutContext {
        try loop.addHandler(listener, events: .read) { _, _ in try acceptAll(listener) }
    }
}

private func acceptAll(_ listener: Int32) throws {}
