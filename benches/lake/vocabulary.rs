//! Common words, the most frequent first, for made-up calls.

/// English words.
pub(crate) const ENGLISH: &str = "\
the to you I and a that it is of in for we on have this be are so with your not can do just if what my yes will okay know \
at was or as but they like from there would right all me no one get about up our out well then now he here when an which \
more had going how see think because time need let good them go call were some want been also their has by she back could \
thank really thing day two make any did who only other way over email us number take much week very say account into than \
first where look check still send new please work today order after ask before should sure phone three name through maybe \
give tell last question customer same service problem something help actually month use these information next little \
great those long again people year minute every come find put change start team date fine bit sorry another keep price \
point system down too even meeting morning payment invoice always never around between contract company talk month's done \
already everything afternoon issue address four delivery try show off might delay understand report second credit card half \
open both until product line place might support able free case later office leave early set moment bank monday friday \
tuesday schedule thursday wednesday probably message access business document refund guess five cost confirm request store \
update offer wait computer each real end course reason hear part speak details best manager transfer option far busy else \
hundred late cancel login password screen window whole since matter ship stock insurance six plan box home remember wrong \
different pick review quarter appointment station possible reset warehouse department ready quick order's receive error \
balance charge shipping perfect item available battery printer signal install hello website copy budget supplier estimate \
policy renewal discount damage factory sample hospital doctor school reservation hotel airport flight train garden kitchen \
window's carpet measure colour finish repair engineer visit doorbell lift parking garage tyre brake engine mileage lease \
deposit landlord tenant agency property electric meter reading tariff boiler pressure valve filter pipe leak ceiling";

/// Japanese words and endings, each as it is written between others.
pub(crate) const JAPANESE: &str = "\
の は が を に で と も です ます ね よ て か はい ました そう から し ので ん お ありがとうございます こちら という その 私 \
よろしくお願いします 確認 ご ください ております 今 いたします けど こと それ ちょっと まで 本日 お電話 お世話になっております 方 \
大丈夫 です。 ますので の件 あの えっと なる 時間 明日 連絡 月 日 時 分 名 会社 株式会社 担当 者 折り返し 少々お待ちください 失礼いたします \
請求書 見積 注文 商品 納期 送付 住所 番号 電話 メール 契約 更新 お客様 いただき ありますか でしょうか もう一度 お願い 来週 今週 先週 \
予約 変更 キャンセル 返品 交換 在庫 発送 届き 支払い 振込 銀行 口座 カード 料金 プラン サービス サポート 問題 不具合 修理 設定 \
画面 パスワード ログイン エラー 表示 されて いて 場合 申し訳ございません 承知いたしました かしこまりました 了解 午前 午後 月曜日 火曜日 水曜日 木曜日 金曜日 \
東京 大阪 名古屋 福岡 支店 本社 営業 部長 課長 田中 佐藤 鈴木 高橋 山田 伊藤 渡辺 中村 小林 加藤 様 さん \
資料 会議 打ち合わせ 日程 調整 予定 都合 場所 新しい 前回 今回 次回 内容 説明 質問 回答 検討 提案 価格 割引 条件 数量 \
工場 倉庫 配送 荷物 伝票 受付 窓口 手続き 申込 書類 印鑑 署名 期限 延長 解約 保険 事故 病院 薬 検査 症状 診察 \
学校 先生 授業 入学 試験 旅行 飛行機 新幹線 駅 空港 ホテル 部屋 人数 食事 電気 ガス 水道 工事 点検 停止 開始 終了 完了 \
もちろん たぶん 実は 特に 一応 例えば だから でも しかし まず 次に 最後 全部 少し たくさん 早く 遅く すぐ いつ どこ 誰 何 なぜ どう";
