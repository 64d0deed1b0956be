// A deadline that is neither an instant nor a duration: contract row E8.

import Updraft

nonisolated func armTimeoutAtAText(_ loop: IOLoop) {
    loop.addTimeout("soon") {}  // error: no exact matches in call to instance method 'addTimeout'
}
