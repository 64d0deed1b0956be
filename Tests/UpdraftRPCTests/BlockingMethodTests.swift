import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

/// Methods that work off the loop: contract rows S2, S4.
struct BlockingMethodTests {
    private struct Broken: Error {}

    @Test func theResultOfBlockingWorkIsTheAnswer_S2() async throws {
        try await withPair {
            $0.register("pooled") { (x: Int) -> Int in
                let loop = IOLoop.current
                return try await loop.runInExecutor { x + (IOLoop.currentIfAny == nil ? 1 : 100) }
            }
            $0.register("off") { (x: Int) -> Int in
                try await IOLoop.current.offLoop { x + (IOLoop.currentIfAny == nil ? 2 : 200) }
            }
        } _: { pair in
            let pooled: Int = try await pair.client.call("pooled", 10)
            let off: Int = try await pair.client.call("off", 10)
            #expect(pooled == 11)
            #expect(off == 12)
        }
    }

    @Test(arguments: ["pooled", "off", "full"])
    func anErrorOfBlockingWorkIsAnsweredAndTheConnectionGoesOn_S4(method: String) async throws {
        try await withPair {
            $0.register("pooled") { (x: Int) -> Int in
                try await IOLoop.current.runInExecutor { throw Broken() }
            }
            $0.register("off") { (x: Int) -> Int in
                try await IOLoop.current.offLoop { throw Broken() }
            }
            $0.register("full") { (x: Int) -> Int in
                let pool = try BlockingPool(size: 1)
                pool.close()
                return try await IOLoop.current.runInExecutor(pool) { x }
            }
            $0.register("sum") { (x: Int, y: Int) in x + y }
        } _: { pair in
            let error = await rpcErrorOf { try await pair.client.call(method, 1) }
            #expect(error?.code == .remote)
            #expect(error?.message == "internal error in '\(method)'")
            let sum: Int = try await pair.client.call("sum", 1, 2)
            #expect(sum == 3)
        }
    }
}
