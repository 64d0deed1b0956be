import MessagePack
import Testing
import Updraft
import UpdraftRPC

struct CallTests {
    @Test func callReturnsTheResultOfASynchronousMethod() async throws {
        try await withPair {
            $0.register("sum") { (x: Int, y: Int) in x + y }
        } _: { pair in
            #expect(try await pair.client.call("sum", 1, 2) == 3)
            let n: Int = try await pair.client.call("sum", 40, 2)
            #expect(n == 42)
        }
    }
}
